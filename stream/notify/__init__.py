"""Posting abuse flags to a receiver of the operator's own, by a process of its own: it can't hold up a decision.

The way of one flag, each step in the file of its name:

1. `source`   read from the flags topic, in a consumer group of its own
2. `notice`   record -> what is posted: the same bytes, and the headers that name the event
3. `signing`  how a receiver knows who sent it (and how it checks that)
4. `targets`  who may be posted to: nobody inside the network, unless allowed
5. `webhook`  one delivery: attempts until it is taken, refused for good, or too late
6. `loop`     several deliveries at once; an offset is committed only when all before it are settled

`process` puts it together and is what `liveness notify` runs.
"""
