"""The main path: a submission record in, one decision out. Stages are pure of Kafka and Redis.

Rooms in the order of the path: `intake`, `admission`, `capture` and `detection` in the detect agent; `join`, `verdict`
and `decision` in the decide agent. `decision_store` is the port that both ask: the first writer of a submission id
wins, so that duplicates are the same bytes.
"""
