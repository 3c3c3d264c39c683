"""Keys and commands of the face index on Redis, and what their replies say. Pure.

faces:{TENANT|PLACE}             vector set: CORRELATION_ID SUBMISSION_ID -> vector in eight bits a number, and as
                                 attributes [at_ms, session id, exact vector, spoof]
face-places:{TENANT|DAY}         set: names of the places that begin on this day
faces-of:{TENANT|CORRELATION_ID} sorted set: PLACE SUBMISSION_ID, where the faces of a correlation id are, until when
faces-gone:{HASH}                for some minutes after `forget`
face-tenants                     sorted set: who faces are kept for, and until when
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import cast

import orjson

from abuse.event_time import DAY_MS
from abuse.faces.face_index import EnrolledReference, FacePlan, IndexBucket, place_named
from abuse.faces.protected_template import ProtectedTemplate, print_from
from abuse.redis_port import Command, ForeignValue, Reply

#: Candidates told of by each place; where there are so many, it is asked again for `MOST_NEAR`.
NEAR, MOST_NEAR = 32, 256
#: Candidates looked at while searching and adding, and links of each face: recall against time and memory (measured).
EFFORT, LINKS = 200, 16
#: A place with fewer is searched at once, which is nothing but comparing with all. In a fuller one Redis searches in a
#: thread, which costs some 0.1 ms more, uses further cores and lets others be served meanwhile: with 600 faces in each
#: of 169 places, half as many meetings again a second on two cores.
SMALL = EFFORT
GONE_TTL_MS = 600_000


class FaceCommands:
    def __init__(self, key_prefix: str, plan: FacePlan) -> None:
        self._prefix = f"{key_prefix}abuse:"
        self._plan = plan
        self.tenants = f"{self._prefix}face-tenants"

    def faces(self, place: IndexBucket) -> str:
        return f"{self._prefix}faces:{{{place.tenant or ''}|{place.name}}}"

    def places(self, tenant: str | None, day: int) -> str:
        return f"{self._prefix}face-places:{{{tenant or ''}|{day}}}"

    def faces_of(self, tenant: str | None, correlation_id: str) -> str:
        return f"{self._prefix}faces-of:{{{tenant or ''}|{correlation_id}}}"

    def gone(self, tenant: str | None, correlation_id: str) -> str:
        """Says for some minutes that somebody was forgotten, and not who."""
        digest = hashlib.sha256(f"{tenant or ''}|{correlation_id}".encode()).hexdigest()
        return f"{self._prefix}faces-gone:{{{digest[:40]}}}"

    def add(self, sighting: EnrolledReference) -> list[Command]:
        """The same however often sent. The place is made known before it holds anything."""
        place = self._plan.place(sighting)
        key, until_ms = self.faces(place), self._plan.kept_until_ms(place.end_ms)
        listed, listed_until_ms = (
            self.places(place.tenant, place.day),
            self._plan.kept_until_ms((place.day + 1) * DAY_MS),
        )
        traced = self.faces_of(sighting.tenant, sighting.correlation_id)
        quantised = ("Q8", "EF", EFFORT, "SETATTR", _attributes(sighting), "M", LINKS)
        return [
            ("SADD", listed, place.name),
            ("PEXPIREAT", listed, listed_until_ms),
            ("ZADD", traced, "GT", until_ms, f"{place.name} {sighting.submission_id}"),
            ("ZREMRANGEBYSCORE", traced, "-inf", f"({sighting.at_ms}"),
            *_at_least_until(traced, until_ms),
            ("ZADD", self.tenants, "GT", listed_until_ms, sighting.tenant or ""),
            ("ZREMRANGEBYSCORE", self.tenants, "-inf", f"({sighting.at_ms}"),
            *_at_least_until(self.tenants, listed_until_ms),
            ("VADD", key, "FP32", sighting.print.vector, _element(sighting), *quantised),
            ("PEXPIREAT", key, until_ms),
        ]

    def search(self, place: IndexBucket, probe: ProtectedTemplate, least_score: float, small: bool) -> list[Command]:
        key = self.faces(place)
        return [("VCARD", key), self._near(key, probe, least_score, NEAR, ("NOTHREAD",) if small else ())]

    def search_on(self, place: IndexBucket, probe: ProtectedTemplate, least_score: float) -> Command:
        return self._near(self.faces(place), probe, least_score, MOST_NEAR, ())

    def _near(self, key: str, probe: ProtectedTemplate, least: float, count: int, how: tuple[str, ...]) -> Command:
        # Some versions take it for a bound of the cosine distance, others of 1 - score, which is half of it: the
        # larger serves both, and scores are looked at here again.
        epsilon = 2 * (1 - least)
        bound = ("EPSILON", epsilon) if epsilon < 1 else ()
        effort = max(EFFORT, count)
        return ("VSIM", key, "FP32", probe.vector, "WITHSCORES", "COUNT", count, "EF", effort, *bound, *how)


def _at_least_until(key: str, at_ms: int) -> list[Command]:
    """`GT` alone never sets the first expiry."""
    return [("PEXPIREAT", key, at_ms, "NX"), ("PEXPIREAT", key, at_ms, "GT")]


def _element(sighting: EnrolledReference) -> str:
    return f"{sighting.correlation_id} {sighting.submission_id}"


def _attributes(sighting: EnrolledReference) -> bytes:
    """JSON, as Redis wants attributes to be."""
    packed = b64encode(sighting.print.packed).decode()
    return orjson.dumps([sighting.at_ms, sighting.session_id, packed, sighting.spoof])


def scored(key: str, reply: Reply, least_score: float) -> list[tuple[str, float]]:
    """Elements near enough. Raises ForeignValue."""
    flat = cast("list[bytes]", reply)
    try:
        pairs = [(name.decode(), float(score)) for name, score in zip(flat[::2], flat[1::2], strict=True)]
    except ValueError as error:
        raise ForeignValue(key) from error
    return [(name, score) for name, score in pairs if score >= least_score]


def names(key: str, element: str) -> tuple[str, str]:
    """Correlation id and submission id. Raises ForeignValue."""
    correlation_id, found, submission_id = element.partition(" ")
    if not found:
        raise ForeignValue(key)
    return correlation_id, submission_id


def kept(key: str, place: IndexBucket, element: str, attributes: Reply) -> EnrolledReference:
    """A face as it was added. Raises ForeignValue."""
    correlation_id, submission_id = names(key, element)
    try:
        at_ms, session_id, packed, spoof = orjson.loads(cast(bytes, attributes))
        return EnrolledReference(
            tenant=place.tenant,
            at_ms=int(at_ms),
            submission_id=submission_id,
            correlation_id=correlation_id,
            session_id=session_id,
            spoof=bool(spoof),
            print=print_from(place.model, place.key_id, b64decode(packed)),
        )
    except (ValueError, TypeError) as error:
        raise ForeignValue(key) from error


def places_from(key: str, tenant: str | None, listed: Sequence[bytes]) -> frozenset[IndexBucket]:
    """Raises ForeignValue."""
    try:
        return frozenset(place_named(tenant, name.decode()) for name in listed)
    except ValueError as error:
        raise ForeignValue(key) from error


def traces_from(key: str, tenant: str | None, listed: Sequence[bytes]) -> list[tuple[IndexBucket, str]]:
    """Place and submission id of each face of a correlation id. Raises ForeignValue."""
    traces = []
    for each in listed:
        name, _, submission_id = each.decode().partition(" ")
        try:
            traces.append((place_named(tenant, name), submission_id))
        except ValueError as error:
            raise ForeignValue(key) from error
    return traces
