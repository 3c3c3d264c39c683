"""The notifier: posts abuse flags to a receiver of the operator's, in a process that can't hold up decisions.

The way of one flag, each step in the file of its name:

1. `targets`  who may be posted to: nobody inside the network, unless allowed; looked at before the process starts
2. `stage`    record -> delivered or set aside, as one agent of a worker (`stream.kafka.agents`) in a group of its own
3. `notice`   record -> what is posted: the same bytes, and the headers that name the event
4. `signing`  signatures, made and checked, by which a receiver knows the sender
5. `webhook`  one delivery: attempts until the flag is taken, refused for good, or too late

`bootstrap.notifier.build_notifier` puts the notifier together, for `liveness notify`. Several deliveries go on at once;
a flag that is refused for a while holds up the commits of its partition but not the flags behind it.
"""
