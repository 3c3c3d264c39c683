"""What can be known about abuse across submissions: retries, attack patterns, IP risk, flags and their review.

The path of one submission, in order:

1. `origins`      what an event says about its sender -> hashed subjects (`subjects`) and `networks`
2. `gate`         before: does an open flag stand against any of them?
3. `observation`  after: what the verdict taught
4. `ledger`       the table: `journal` (attempts of a subject) and `flag_events`; on Redis in `redis_ledger`
5. `engine`       every rule in `rules/` is told; `windows` slide, `ip_risk` adds up
6. `flags`        what was found, as events that happen once; `expiry` ends them; `mentions`: whom their evidence names

Beside it, what is the same under several correlation ids; `reuse` puts it together:

- faces: `face_keys` turns a template into one of `face_prints`, `face_index` finds near ones, `face_bounds` says how
  near they must be
- pictures: `media_keys` turns hashes into codes, `media_index` finds those of copies
- `marks`: the print and the codes of one submission
- `links` between submissions that share either, kept in the `link_book`, and the clusters they form

Each index and the book have an adapter on Redis, `redis_...`; `key_periods` says which secret counts when, and
`key_checks` whether it is the one that everybody uses. `observation_codec` and `link_codec` write what decisions show,
and read it when the table is rebuilt.

And of a decision by a person: `reviews` plans it (kept by `plan_codec`), `audit` keeps the trail (on Redis:
`redis_audit`). `erasure` removes a subject from all of it (on Redis: `redis_erasure`), and `erased` keeps a rebuilt
table from bringing it back.

It knows neither Kafka nor Faust nor detectors; Redis only as `redis_port`, several commands in one round trip.
"""
