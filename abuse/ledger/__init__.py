"""The ledger: attempts and flags of every subject.

`ledger` is the port with a ledger in memory, `flag_index` lists flags by tenant, severity and time, `journal` holds the
attempts of one subject, `windows` counts over them, `expiry` ends flags. On Redis: `redis_ledger` and
`redis_flag_index`, with their keys in `redis_ledger_keys`.
"""
