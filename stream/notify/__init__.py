"""Posting abuse flags to a receiver of the operator's own, by a process of its own: it can't hold up a decision.

The way of one flag, each step in the file of its name:

1. `targets`  who may be posted to: nobody inside the network, unless allowed; looked at before the process starts
2. `stage`    record -> delivered or set aside, as one agent of a worker (`stream.kafka.agents`) in a group of its own
3. `notice`   record -> what is posted: the same bytes, and the headers that name the event
4. `signing`  how a receiver knows who sent it (and how it checks that)
5. `webhook`  one delivery: attempts until it is taken, refused for good, or too late

`bootstrap.build_notifier` puts it together and is what `liveness notify` runs. Several deliveries go on at once; a flag
that is refused for a while holds up the commits of its partition but not the flags behind it.
"""
