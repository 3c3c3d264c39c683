"""The ledger: attempts and flags of every subject.

`ledger` is the port with a ledger in memory, `journal` the attempts of one subject, `windows` counts over them,
`expiry` ends flags. On Redis: `redis_ledger`, with its keys in `redis_ledger_keys`.
"""
