"""Faces under several correlation ids: protected templates, an index of them, and how near counts as the same.

In order: `template_protection` protects a template with a keyed rotation, `protected_template` is the result and its
distances, `face_index` is the port (enrol, search, re-key, forget) with an index in memory, `face_bounds` gives the
threshold for a gallery. On Redis: `redis_face_index`, with `redis_face_commands`, `redis_face_search` and
`redis_face_codes`. In a worker's memory: `bucket_mirrors` of `face_codes`, each a `bucket_mirror`.
"""
