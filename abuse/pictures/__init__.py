"""Pictures under several correlation ids or sessions: keyed image hashes and an index of near duplicates.

`media_keys` keys the hashes of a picture, `media_index` is the port with an index in memory, `redis_media_index` the
one on Redis.
"""
