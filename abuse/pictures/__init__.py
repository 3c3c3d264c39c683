"""Pictures under several correlation ids or sessions: keyed image hashes and an index of near duplicates.

In order: `media_keys` makes keyed image hashes, `media_index` is the port with an index in memory, `redis_media_index`
the index on Redis.
"""
