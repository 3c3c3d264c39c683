"""The mirror of a bucket without Redis: reading on, and whether something may be near."""

from __future__ import annotations

import numpy as np
import pytest

from abuse.faces import bucket_mirror
from abuse.faces.bucket_mirror import PAGE, BucketMirror, CodesWanted
from abuse.faces.face_codes import code_of, layout
from abuse.faces.protected_template import Distance, ProtectedTemplate

CHANCE = np.random.default_rng(5)
MANY, D = 600, 128
COMMON = np.full(D, 1 / np.sqrt(D))
#: As templates of photographs lie: near a common direction, strangers about 0.85 apart.
GALLERY = COMMON + CHANCE.standard_normal((MANY, D)) * 0.85 / np.sqrt(2 * D)


def template(vector: np.ndarray) -> ProtectedTemplate:
    return ProtectedTemplate("m", "k1", vector.astype("<f4").tobytes())


def code(number: int, vector: np.ndarray | None = None) -> bytes:
    return code_of(f"cid-{number}", f"sub-{number}", template(GALLERY[number] if vector is None else vector))


CODES = b"".join(map(code, range(MANY)))
BYTES = layout(D).itemsize


def read(mirror: BucketMirror, packed: bytes, size: int) -> None:
    """A look at a bucket whose codes are these."""
    wanted = mirror.wanted()
    mirror.take(wanted, packed[wanted.start : wanted.stop + 1], size)


def mirror_of(packed: bytes = CODES, size: int = MANY, by: Distance = Distance.EUCLIDEAN) -> BucketMirror:
    mirror = BucketMirror(D, by)
    read(mirror, packed, size)
    return mirror


def off(far: float) -> np.ndarray:
    step = CHANCE.standard_normal(D)
    return step * far / np.linalg.norm(step)


@pytest.mark.parametrize("by", Distance)
def test_near_faces_are_seen(by) -> None:
    """Faces at the very distance; a cosine distance of 0.1 is 0.447 between directions."""
    mirror, unit = mirror_of(by=by), np.linalg.norm(GALLERY, axis=1)[:, None]
    rows, within, reach = (GALLERY, 0.45, 0.44) if by is Distance.EUCLIDEAN else (GALLERY / unit, 0.1, 0.43)
    seen = [mirror.may_hold(template(rows[n] + off(reach)), within, "me") for n in range(MANY)]
    assert sum(seen) >= 0.99 * MANY


def test_strangers_are_ruled_out() -> None:
    mirror = mirror_of()
    strangers = [COMMON + CHANCE.standard_normal(D) * 0.85 / np.sqrt(2 * D) for _ in range(50)]
    assert sum(mirror.may_hold(template(each), 0.45, "me") for each in strangers) == 0
    assert all(mirror.may_hold(template(each), 1.2, "me") for each in strangers)


def test_own_faces_do_not_count() -> None:
    mirror = mirror_of()
    assert mirror.may_hold(template(GALLERY[3]), 0.3, "cid-4")
    assert not mirror.may_hold(template(GALLERY[3]), 0.3, "cid-3")


def test_many_alike_are_left_to_redis(monkeypatch) -> None:
    """The cost of a look is bounded, whatever is enrolled."""
    mirror = mirror_of(b"".join(code(number, GALLERY[0] + off(0.3)) for number in range(50)), 50)
    assert not mirror.may_hold(template(GALLERY[0]), 0.2, "me")
    monkeypatch.setattr(bucket_mirror, "MOST_COMPARED", 20)
    assert mirror.may_hold(template(GALLERY[0]), 0.2, "me")


def test_mirror_is_read_by_pages(monkeypatch) -> None:
    monkeypatch.setattr(bucket_mirror, "PAGE", 100)
    mirror, whole = BucketMirror(D, Distance.EUCLIDEAN), []
    for _ in range(MANY // 100 + 1):
        read(mirror, CODES, MANY)
        whole.append((mirror.whole, mirror.unmatched))
    assert whole == [*[(False, 0)] * 6, (True, 0)]
    assert all(mirror.may_hold(template(GALLERY[number]), 0.1, "me") for number in range(0, MANY, 7))
    assert mirror.nbytes == pytest.approx(MANY * (BYTES + 20), rel=0.3)


def test_each_face_counts_once() -> None:
    """However often it was enrolled; the code of a forgotten one doesn't count."""
    twice = CODES + code(3) + code(MANY - 1) + bytes(BYTES)
    mirror = mirror_of(twice)
    assert (mirror.whole, mirror.faces) == (True, MANY)
    read(mirror, twice + code(4) + code(5) + b"".join(map(code, range(20))), MANY)
    assert (mirror.whole, mirror.faces) == (True, MANY)


#: Codes at the next look, size of the bucket, and what the mirror says of itself then.
LOOKS = {
    "nothing new": (CODES, MANY, (True, 0)),
    "a face more": (
        CODES + code(1000 % MANY, GALLERY[0]) + code_of("x", "y", template(GALLERY[1])),
        MANY + 1,
        (True, 0),
    ),
    "a face without a code": (CODES, MANY + 1, (False, 1)),
    "a face too many": (CODES, MANY - 1, (False, 1)),
    "a face more, another erased": (CODES + code_of("x", "y", template(GALLERY[1])), MANY, (False, 1)),
    "lost": (b"", MANY, (False, 1)),
    "cut short": (CODES[: -2 * BYTES], MANY, (False, 1)),
    "others": (CODES[::-1], MANY, (False, 1)),
}


@pytest.mark.parametrize(("packed", "size", "after"), LOOKS.values(), ids=LOOKS)
def test_further_look(packed, size, after) -> None:
    mirror = mirror_of()
    read(mirror, packed, size)
    assert (mirror.whole, mirror.unmatched) == after


def test_unread_face_makes_up_for_none(monkeypatch) -> None:
    """A page that ends before the bucket does, and one of its faces erased: as many as the bucket has, not the same."""
    monkeypatch.setattr(bucket_mirror, "PAGE", MANY - 1)
    mirror = mirror_of(CODES, MANY)
    assert not mirror_of(CODES, MANY - 1).whole
    read(mirror, CODES, MANY)
    assert mirror.whole


def test_look_that_is_answered_late() -> None:
    mirror = mirror_of(CODES[: 100 * BYTES], 100)
    early, later = mirror.wanted(), mirror.wanted()
    mirror.take(later, CODES[later.start : 120 * BYTES], 120)
    mirror.take(early, CODES[early.start : 110 * BYTES], 110)
    assert (mirror.whole, mirror.faces) == (True, 120)
    mirror.take(early, CODES[early.start : 110 * BYTES], 111)
    assert not mirror.whole


def test_looks_at_the_same_time(monkeypatch) -> None:
    """Searches under way together ask for one page: the later ones find the page read, and nothing wrong."""
    monkeypatch.setattr(bucket_mirror, "PAGE", 100)
    mirror = BucketMirror(D, Distance.EUCLIDEAN)
    for _ in range(MANY // 100 + 1):
        for wanted in [mirror.wanted() for _ in range(4)]:
            mirror.take(wanted, CODES[wanted.start : wanted.stop + 1], MANY)
            assert mirror.unmatched == 0
    assert (mirror.whole, mirror.faces) == (True, MANY)


def test_page_is_bounded() -> None:
    assert BucketMirror(D, Distance.EUCLIDEAN).wanted() == CodesWanted(0, PAGE * BYTES - 1, b"")
    assert mirror_of().wanted() == CodesWanted((MANY - 1) * BYTES, (MANY + PAGE) * BYTES - 1, code(MANY - 1))
