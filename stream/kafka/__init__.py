"""Kafka and Faust: from a partition's records to confirmed outputs and in-order acknowledgements.

In order: `app` configures Faust and `transport` its consumer; `record_reading` and `unpacking` get past any batch a
broker can store; `agents` runs a stage over a topic and `acks` acknowledges in order; `publishing` confirms outputs.
`worker` is the life of a process and `run` its event loop. Beside them: `clients` for commands, `provisioning` of
topics, `backlog`, `records`.
"""
