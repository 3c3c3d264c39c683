"""Kafka and Faust: from a partition's records to confirmed outputs and in-order acknowledgements.

Rooms, the lowest first: `clients`, `consumer`, `agents`, `worker`; `exit_codes` tells the worker's ends apart.
"""
