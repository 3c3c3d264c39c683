"""Redis: the only room that imports a Redis library. Adapters of the ports declared elsewhere.

`client` executes several commands in one round trip, on one `node` or on a `cluster` whose `topology` it follows;
`faults` tells "not now" from "never"; `decision_store` keeps decisions. `permissions` and `eviction` look at the
servers themselves; by `marker` and `installation` a Redis that lost its content is missed.
"""
