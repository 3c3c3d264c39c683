"""The store records of an installation: every family of Redis keys, collected from the stores.

A test fails when a worker writes a key of no record, when a record's keys are never written, and when a key outlives
its record's lifetime; others when an erasure or a rebuild leaves out what a record says of them.
"""

from __future__ import annotations

from abuse.faces import redis_face_commands
from abuse.keys import redis_key_checks
from abuse.ledger import redis_ledger_keys
from abuse.links import redis_large_clusters, redis_link_store
from abuse.pictures import redis_frame_index, redis_media_index
from abuse.review import redis_audit
from abuse.store_record import StoreRecord
from stream.redis import decision_store, marker, partition_notes, pending, roll_call, session_store

RECORDS: tuple[StoreRecord, ...] = (
    *decision_store.RECORDS,
    *pending.RECORDS,
    *marker.RECORDS,
    *partition_notes.RECORDS,
    *roll_call.RECORDS,
    *session_store.RECORDS,
    *redis_ledger_keys.SUBJECT_RECORDS,
    *redis_link_store.RECORDS,
    *redis_large_clusters.RECORDS,
    *redis_face_commands.RECORDS,
    *redis_media_index.RECORDS,
    *redis_frame_index.RECORDS,
    *redis_audit.RECORDS,
    *redis_key_checks.RECORDS,
    *redis_ledger_keys.SHARED_RECORDS,
)
