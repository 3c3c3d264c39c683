"""The face index and the image index as one contract sees both: how each is made, and what is enrolled in it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import EnrolledReference, FacePlan, InMemoryFaceIndex
from abuse.faces.protected_template import Distance, ProtectedTemplate
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.keys.key_periods import HashKey
from abuse.pictures.media_index import EnrolledImage, InMemoryMediaIndex, MediaPlan
from abuse.pictures.media_keys import MediaKeys
from abuse.pictures.redis_media_index import RedisMediaIndex
from tests.contract.redis_servers import PortKind
from tests.enrolling import enrol_and_search
from tests.instants import NOW_MS

MODEL, DIMENSIONS, WITHIN, WITHIN_BITS = "made-up", 32, 0.5, 6
FACE_PLAN = FacePlan(window_ms=2 * DAY_MS, span_ms=HOUR_MS, deadline_s=30, distances={"turned": Distance.COSINE})
MEDIA_PLAN = MediaPlan(window_ms=2 * DAY_MS, most_lines=16)
MEDIA_KEYS = MediaKeys(
    [HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS - HOUR_MS)],
    reach_ms=MEDIA_PLAN.window_ms,
)
#: Bits that leave no band of a perceptual hash equal.
ALL_BANDS = (3, 21, 40, 60)


def ref_fields(number: int, hours: float) -> dict[str, Any]:
    """Submission `number`, of correlation id `number`, `hours` before now."""
    return {
        "tenant": "acme",
        "correlation_id": f"cid-{number}",
        "submission_id": f"sub-{number}",
        "session_id": f"session-{number}",
        "at_ms": NOW_MS - round(hours * HOUR_MS),
    }


def face(person: int, variation: float = 0.0, seed: int = 0) -> np.ndarray:
    """A template of about length 1.3, `variation` away from the person's own."""
    own = np.random.default_rng(person).standard_normal(DIMENSIONS) * 0.23
    off = np.random.default_rng([person, seed, 1]).standard_normal(DIMENSIONS)
    return own + off / np.linalg.norm(off) * variation


def protected(vector: np.ndarray, key_id: str = "k1", model: str = MODEL) -> ProtectedTemplate:
    return ProtectedTemplate(model, key_id, vector.astype("<f4").tobytes())


def face_of(
    number: int, person: int | None = None, hours: float = 0.0, variation: float = 0.02, **changes: Any
) -> EnrolledReference:
    template = protected(face(person or number, variation, number))
    return EnrolledReference(**(ref_fields(number, hours) | {"template": template} | changes))


def digest(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()


def perceptual(picture: int, *flipped: int) -> int:
    """The perceptual hash of a picture, some bits flipped."""
    hashed = random.Random(picture).getrandbits(64)
    for bit in flipped:
        hashed ^= 1 << bit
    return hashed


def image_of(
    number: int,
    picture: int | None = None,
    hours: float = 0.0,
    flipped: Sequence[int] = (),
    *,
    file: str | None = None,
    pixels: str | None = None,
    keys: MediaKeys = MEDIA_KEYS,
    **changes: Any,
) -> EnrolledImage:
    """`file` and `pixels`: exact hashes, the submission's own unless they are given."""
    fields = ref_fields(number, hours) | changes
    exact = file or digest("bytes", number), pixels or digest("pixels", number)
    seen = perceptual(number if picture is None else picture, *flipped)
    return EnrolledImage(**fields, hashes=keys.hashes(fields["tenant"], *exact, seen, fields["at_ms"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKind(PortKind):
    """`of(number, shows, hours, ...)` makes what is enrolled. `apart(number)`: changes for the same person or picture
    that put it into other keys of the index. `varied`: changes that stay near."""

    of: Callable[..., Any]
    within: float
    families: frozenset[str]
    read_last: str
    apart: Callable[[int], dict[str, Any]]
    varied: st.SearchStrategy[dict[str, Any]]


FACES = IndexKind(
    in_memory=lambda: InMemoryFaceIndex(FACE_PLAN),
    on_redis=lambda calls, prefix: RedisFaceIndex(calls, prefix, FACE_PLAN),
    of=face_of,
    within=WITHIN,
    families=frozenset({"faces", "face-codes", "face-places", "faces-of", "face-tenants"}),
    read_last="VGETATTR",
    apart=lambda number: {"hours": 0.5 * (number + 2)},
    varied=st.just({"variation": 0.15}),
)
FACES_IN_PARTS = replace(
    FACES, on_redis=lambda calls, prefix: RedisFaceIndex(calls, prefix, replace(FACE_PLAN, most_faces=2, batch=5))
)
#: Every bucket has a mirror as soon as the bucket is listed, and Redis searches where the mirror says so.
FACES_MIRRORED = replace(
    FACES, on_redis=lambda calls, prefix: RedisFaceIndex(calls, prefix, replace(FACE_PLAN, mirrored_from=1))
)
PICTURES = IndexKind(
    in_memory=lambda: InMemoryMediaIndex(MEDIA_PLAN),
    on_redis=lambda calls, prefix: RedisMediaIndex(calls, prefix, MEDIA_PLAN),
    of=image_of,
    within=WITHIN_BITS,
    families=frozenset({"pictures", "picture", "pictures-of"}),
    read_last="GET",
    apart=lambda number: {"flipped": ALL_BANDS},
    varied=st.builds(dict, flipped=st.sets(st.integers(0, 63), max_size=6).map(sorted)),
)


async def search(index: Any, *enrolled: Any, within: float | None = None) -> Any:
    """The result for the last, each enrolled and searched in turn."""
    for each in enrolled:
        near = (WITHIN if isinstance(each, EnrolledReference) else WITHIN_BITS) if within is None else within
        result = await enrol_and_search(index, each, near)
    return result


def matches(result: Any) -> tuple[Any, ...]:
    """Candidates of a face search, matches of an image search."""
    found: tuple[Any, ...] = getattr(result, "candidates", result)
    return found


def ids(result: Any) -> list[str]:
    return [each.submission_id for each in matches(result)]
