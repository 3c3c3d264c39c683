"""A broker and a store inside this machine, for a first look and quick tests; never for real traffic.

`broker` is librdkafka's mock cluster, `store` a real Redis server on a Unix socket, which `supervisor` ends with its
owner. Everything above them is the code of production. They keep nothing: what they hold is gone when the process
ends.
"""
