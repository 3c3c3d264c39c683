"""The main path: a submission record in, one decision out. Stages are pure of Kafka and Redis.

1. `intake`          bytes of a record -> Submission, Rejected (can be answered) or Poison (can't)
2. `admission`       decided before? other content under a used id? flagged? then no detection is paid for
3. `detect_stage`    one picture to a slot process and back; `marking` extracts reuse references
4. `aggregation`     readings -> confidence
5. `injection`       indications in the picture's file -> Live, Not Live or Error
6. `verdict`         both and policy -> LIVE, SPOOF or INCONCLUSIVE, with `reasons` and `advice` for the person
7. `abuse_stage`     the observation is recorded and shown to the rules
8. `decision`        the published event, explained by `interpretation` and `counterfactuals`
9. `decide_stage`    the first writer wins (`decision_store` is the port), so that duplicates are the same bytes
"""
