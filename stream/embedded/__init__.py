"""A broker and a store inside this machine, for a first look and quick tests; never for real traffic.

`broker` is librdkafka's mock cluster, `store` is fakeredis over TCP. Everything above them is the code of
production. They keep nothing: what they hold is gone when the process ends.
"""
