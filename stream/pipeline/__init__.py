"""The main path: a submission record in, one decision out. Stages are pure of Kafka and Redis.

1. `intake`          bytes of a record -> Submission, Rejected (can be answered) or Poison (can't)
2. `admission`       decided before? other content under a used id? flagged? then no detection is paid for
3. `detect_stage`    one picture to a slot process and back; `marking` extracts reuse references
4. `aggregation`     readings -> confidence
5. `verdict`         confidence and policy -> LIVE, SPOOF or INCONCLUSIVE, with reasons; `advice` for the person
6. `abuse_stage`     the observation is recorded and shown to the rules
7. `decision`        the published event
8. `decide_stage`    the first writer wins (`decision_store` is the port), so that duplicates are the same bytes
"""
