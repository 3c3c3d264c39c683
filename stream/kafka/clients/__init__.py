"""Clients of a Kafka cluster: secured connections, records, topics, and the rights that each principal needs.

`security` makes the arguments of both client libraries, `clients` the plain clients; `records` are the records of
either library. `record_reading` gets past whatever a partition holds (`unpacking` bounds compressed batches).
`provisioning` makes and checks topics, `access` is the table of rights, `backlog` and `newest` look at what a topic
holds.
"""
