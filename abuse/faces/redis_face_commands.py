"""Keys, commands and replies of the face index on Redis. Pure.

faces:{TENANT|BUCKET}            vector set: CORRELATION_ID SUBMISSION_ID -> vector in eight bits a number, and as
                                 attributes [at_ms, session id, exact vector, spoof]
face-codes:{TENANT|BUCKET}       string: codes of the bucket's faces, in the order of enrolment (`face_codes`)
face-places:{TENANT|DAY}         set: names of the buckets that begin on this day
faces-of:{TENANT|CORRELATION_ID} sorted set: BUCKET SUBMISSION_ID of the correlation id's faces, by their expiry
faces-gone:{HASH}                exists for some minutes after `forget`
face-tenants                     sorted set: tenants with faces, by the expiry of the last
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import partial
from typing import cast

import orjson

from abuse.event_time import DAY_MS
from abuse.faces.face_codes import code_of, layout
from abuse.faces.face_index import EnrolledReference, FacePlan, IndexBucket, bucket_named, face_plan
from abuse.faces.protected_template import ProtectedTemplate, template_from
from abuse.redis_port import Command, ForeignValue, Reply, fields_of, reading
from abuse.store_record import Erasing, Personal, StoreRecord
from abuse.submission_ref import submission_ref_from
from config.policy import Policy
from config.settings import Settings

#: Candidates per bucket; a bucket with so many is searched again for `MOST_NEAR`.
NEAR, MOST_NEAR = 32, 256
#: Faces looked at while adding and while searching: recall against time (docs/BENCHMARK.md).
ADDING_EFFORT, SEARCH_EFFORT = 64, 96
#: The same where a mirror shows something near, in one or two buckets of a search. In one of 43,000 (measured) 96 finds
#: 0.980 in 1.2 ms, 256 finds 0.988 in 2.2 ms, 400 finds 0.993 in 2.7 ms.
SURE_EFFORT = 400
#: A bucket with fewer faces is searched without a thread, by comparing with all. In a fuller bucket Redis searches in a
#: thread, which costs some 0.1 ms more, uses further cores and serves other clients meanwhile.
SMALL = 200
GONE_TTL_MS = 600_000


def _span(settings: Settings, several: bool = False) -> str:
    """The stretch of time of a bucket, in words: an hour, a day or a stretch of hours; one or several."""
    hours = settings.abuse.face_span_h
    words = {1: ("hour", "hours"), 24: ("day", "days")}
    return words.get(hours, (f"stretch of {hours} hours", f"stretches of {hours} hours"))[several]


def _face_life_ms(settings: Settings, policy: Policy) -> int:
    plan = face_plan(settings, policy, {})
    return plan.kept_until_ms(plan.span_ms)


_by_day = partial(
    StoreRecord,
    personal=Personal.NONE,
    life_ms=lambda settings, policy: face_plan(settings, policy, {}).kept_until_ms(DAY_MS),
)
RECORDS = (
    StoreRecord(
        name="abuse:faces",
        holds=lambda settings: f"protected face templates, by the {_span(settings)}",
        personal=Personal.BIOMETRIC,
        life_ms=_face_life_ms,
        after=lambda settings: f"the {_span(settings)} began",
    ),
    StoreRecord(
        name="abuse:face-codes",
        holds="the same in eight bits a number, for workers to mirror",
        personal=Personal.BIOMETRIC,
        life_ms=_face_life_ms,
        after=lambda settings: f"the {_span(settings)} began",
    ),
    _by_day(
        name="abuse:face-places",
        holds=lambda settings: f"which {_span(settings, several=True)} hold faces",
        after="the day began",
    ),
    StoreRecord(
        name="abuse:faces-of",
        holds="where a correlation id's faces are",
        life_ms=_face_life_ms,
        after=lambda settings: f"the {_span(settings)} of the last began",
    ),
    StoreRecord(
        name="abuse:faces-gone",
        holds="hashes of who was just forgotten",
        life_ms=GONE_TTL_MS,
        after="the erasure",
        erasing=Erasing.GUARD,
    ),
    _by_day(name="abuse:face-tenants", holds="tenants that have faces", after="the day of its last began"),
)


class FaceCommands:
    def __init__(self, key_prefix: str, plan: FacePlan) -> None:
        self._prefix = f"{key_prefix}abuse:"
        self._plan = plan
        self.tenants = f"{self._prefix}face-tenants"

    def faces(self, bucket: IndexBucket) -> str:
        return f"{self._prefix}faces:{{{bucket.tenant or ''}|{bucket.name}}}"

    def codes(self, bucket: IndexBucket) -> str:
        """Key of the bucket's codes, on the node of its faces."""
        return f"{self._prefix}face-codes:{{{bucket.tenant or ''}|{bucket.name}}}"

    def buckets_of(self, tenant: str | None, day: int) -> str:
        return f"{self._prefix}face-places:{{{tenant or ''}|{day}}}"

    def faces_of(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}faces-of:{{{tenant or ''}|{correlation_id}}}"

    def gone(self, tenant: str | None, correlation_id: str) -> str:
        """The key that exists for some minutes after a correlation id was forgotten, without naming it."""
        digest = hashlib.sha256(f"{tenant or ''}|{correlation_id}".encode()).hexdigest()
        return f"{self._prefix}faces-gone:{{{digest[:40]}}}"

    def add(self, reference: EnrolledReference, bucket: IndexBucket) -> list[Command]:
        """Commands to enrol a reference in a bucket; idempotent in effect: a code may stand there twice. The bucket is
        listed before a face is in it, and the code is there before the face; the last reply is the number of faces."""
        key, codes, until_ms = self.faces(bucket), self.codes(bucket), self._plan.kept_until_ms(bucket.end_ms)
        listed = self.buckets_of(bucket.tenant, bucket.day)
        listed_until_ms = self._plan.kept_until_ms((bucket.day + 1) * DAY_MS)
        traced = self.faces_of(reference.tenant, reference.correlation_id)
        quantised = ("Q8", "EF", ADDING_EFFORT, "SETATTR", _attributes(reference), "M", bucket.links)
        return [
            ("SADD", listed, bucket.name),
            ("PEXPIREAT", listed, listed_until_ms),
            ("ZADD", traced, "GT", until_ms, f"{bucket.name} {reference.submission_id}"),
            ("ZREMRANGEBYSCORE", traced, "-inf", f"({reference.at_ms}"),
            *_at_least_until(traced, until_ms),
            ("ZADD", self.tenants, "GT", listed_until_ms, reference.tenant or ""),
            ("ZREMRANGEBYSCORE", self.tenants, "-inf", f"({reference.at_ms}"),
            *_at_least_until(self.tenants, listed_until_ms),
            ("APPEND", codes, code_of(*reference.name, reference.template)),
            ("PEXPIREAT", codes, until_ms),
            ("VADD", key, "FP32", reference.template.vector, element_of(*reference.name), *quantised),
            ("PEXPIREAT", key, until_ms),
            ("VCARD", key),
        ]

    def read_codes(self, bucket: IndexBucket, first: int, last: int) -> Command:
        return ("GETRANGE", self.codes(bucket), first, last)

    def blank(self, bucket: IndexBucket, at: int) -> list[Command]:
        """Commands that overwrite the code at this byte. Had the codes expired meanwhile, their key expires again."""
        key, nothing = self.codes(bucket), bytes(layout(bucket.dimensions).itemsize)
        return [("SETRANGE", key, at, nothing), ("PEXPIREAT", key, self._plan.kept_until_ms(bucket.end_ms))]

    def size(self, bucket: IndexBucket) -> Command:
        return ("VCARD", self.faces(bucket))

    def search(
        self, bucket: IndexBucket, probe: ProtectedTemplate, least: float, *, small: bool = False, sure: bool = False
    ) -> Command:
        """The nearest faces. `small`: the bucket was small at the last look; `sure`: some face is known to be near."""
        effort, how = SURE_EFFORT if sure else SEARCH_EFFORT, ("NOTHREAD",) if small else ()
        return self._near(self.faces(bucket), probe, least, NEAR, effort, how)

    def search_on(self, bucket: IndexBucket, probe: ProtectedTemplate, least_score: float) -> Command:
        return self._near(self.faces(bucket), probe, least_score, MOST_NEAR, MOST_NEAR, ())

    def _near(
        self, key: str, probe: ProtectedTemplate, least: float, count: int, effort: int, how: tuple[str, ...]
    ) -> Command:
        # Some Redis versions take EPSILON for a bound of the cosine distance, others of 1 - score, which is half of it:
        # the larger serves both, and `scored` compares again.
        epsilon = 2 * (1 - least)
        bound = ("EPSILON", epsilon) if epsilon < 1 else ()
        return ("VSIM", key, "FP32", probe.vector, "WITHSCORES", "COUNT", count, "EF", effort, *bound, *how)


def _at_least_until(key: str, at_ms: int) -> list[Command]:
    """Commands that only ever lengthen a life; `GT` alone never sets the first expiry."""
    return [("PEXPIREAT", key, at_ms, "NX"), ("PEXPIREAT", key, at_ms, "GT")]


def element_of(correlation_id: str, submission_id: str) -> str:
    return f"{correlation_id} {submission_id}"


def _attributes(reference: EnrolledReference) -> bytes:
    """Attributes as JSON, which Redis requires."""
    packed = b64encode(reference.template.packed).decode()
    return orjson.dumps([reference.at_ms, reference.session_id, packed, reference.spoof])


def scored(key: str, reply: Reply, least_score: float) -> list[tuple[str, float]]:
    """Elements with at least this score. Raises ForeignValue."""
    with reading(key):
        return [(name, float(score)) for name, score in fields_of(reply).items() if float(score) >= least_score]


def names(key: str, element: str) -> tuple[str, str]:
    """Correlation id and submission id of an element. Raises ForeignValue."""
    correlation_id, found, submission_id = element.partition(" ")
    if not found:
        raise ForeignValue(key)
    return correlation_id, submission_id


def reference_from(key: str, bucket: IndexBucket, element: str, attributes: Reply) -> EnrolledReference:
    """The reference as it was enrolled. Raises ForeignValue."""
    correlation_id, submission_id = names(key, element)
    with reading(key):
        at_ms, session_id, packed, spoof = orjson.loads(cast(bytes, attributes))
        ref = submission_ref_from(int(at_ms), submission_id, correlation_id, session_id, bool(spoof))
        template = template_from(bucket.model, bucket.key_id, b64decode(packed))
        return EnrolledReference(tenant=bucket.tenant, template=template, **ref.ref_fields)


def buckets_from(key: str, tenant: str | None, listed: Sequence[bytes]) -> frozenset[IndexBucket]:
    """Buckets of their listed names. Raises ForeignValue."""
    with reading(key):
        return frozenset(bucket_named(tenant, name.decode()) for name in listed)


def traces_from(key: str, tenant: str | None, listed: Sequence[bytes]) -> list[tuple[IndexBucket, str]]:
    """Bucket and submission id of each face of a correlation id. Raises ForeignValue."""
    with reading(key):
        named = (each.decode().partition(" ") for each in listed)
        return [(bucket_named(tenant, name), submission_id) for name, _, submission_id in named]
