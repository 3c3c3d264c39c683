"""The abuse table: what is known across submissions, and what rules and reviewers make of it.

The path of one submission, in order:

1. `origins`       the sender of an event -> hashed `subjects`, and their `networks`
2. `rules.gate`    before analysis: does an open flag refuse the submission?
3. `observation`   after the verdict: what the submission adds
4. `ledger`        attempts and `flags` of every subject
5. `links`         submissions with the same face (`faces`) or picture (`pictures`) under other ids
6. `rules.engine`  every rule of `rules` over all of that; flags as events that happen once
7. `review`        confirmation, override, erasure, and the audit trail

`keys` says which secret is in force. A port and its Redis adapter stand side by side; Redis is known only as
`redis_port`, several commands in one round trip. Neither Kafka nor Faust nor detectors are known here.
"""
