"""A broker and a store inside this machine, for a first look and quick tests; never for real traffic.

`broker` is librdkafka's mock cluster; `store` is a real Redis server, found by `redis_program`, on a Unix socket, which
`supervisor` ends with its owner. Everything above is the code of production. Nothing outlives the process.
"""
