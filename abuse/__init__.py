"""What can be known about abuse across submissions: retries, attack patterns, IP risk, flags and their review.

The path of one submission, in order:

1. `origins`      what an event says about its sender -> hashed subjects (`subjects`) and `networks`
2. `gate`         before: does an open flag stand against any of them?
3. `observation`  after: what the verdict taught
4. `ledger`       the table: `journal` (attempts of a subject) and `flag_events`; on Redis in `redis_ledger`
5. `engine`       every rule in `rules/` is told; `windows` slide, `ip_risk` adds up
6. `flags`        what was found, as events that happen once; `expiry` ends them

And of a decision by a person: `reviews` plans it, `audit` keeps the trail (on Redis: `redis_audit`).

It knows neither Kafka nor Faust nor detectors; Redis only as `redis_port`, several commands in one round trip.
"""
