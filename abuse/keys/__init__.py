"""Hash keys: which key is in force when, and whether all workers use the same secrets.

`key_periods` orders the keys in time, `key_checks` compares check values between workers, `redis_key_checks` stores
check values, `subject_hasher` makes hashed subjects of addresses and devices.
"""
