"""Every face to the key in force: nobody is forgotten, it may be cut short and repeated, and others go on meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from abuse.face_index import DAY_MS, FacePlan, FaceSighting, InMemoryFaceIndex
from abuse.face_keys import FaceKeys
from abuse.subjects import HashKey
from stream.patience import Patience
from stream.rekeying import PAGE, Rekeyed, Rekeying
from tests.unit.stream.fakes import Away

NOW_MS = 1_760_000_000_000
OLD = HashKey(id="k1", secret=b"1" * 32)
NEW = HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS - DAY_MS)
SOON = HashKey(id="k3", secret=b"3" * 32, since_ms=NOW_MS + DAY_MS)
MANY = 2 * PAGE + 5
WITHIN = 0.1


def keys(*given: HashKey) -> FaceKeys:
    return FaceKeys(given or [OLD, NEW], reach_ms=7 * DAY_MS)


def face(person: int) -> bytes:
    return np.random.default_rng(person).normal(size=16).astype("<f4").tobytes()


def sighting(person: int, at_ms: int, held: FaceKeys, tenant: str | None = "acme", number: int = 0) -> FaceSighting:
    print_ = held.transform(tenant, "net", face(person), at_ms)
    return FaceSighting(
        tenant=tenant,
        correlation_id=f"cid-{person}-{number}",
        submission_id=f"sub-{person}-{number}",
        session_id=None,
        at_ms=at_ms,
        print=print_,
        former=held.under_all(print_, tenant, at_ms),
    )


async def filled(**changes) -> InMemoryFaceIndex:
    """Many faces of the old key, and one of the new."""
    index = InMemoryFaceIndex(FacePlan(), **changes)
    await index.learn([sighting(n, NOW_MS - 2 * DAY_MS, keys()) for n in range(MANY)])
    await index.learn([sighting(0, NOW_MS, keys(), tenant=None)])
    return index


def rekeying(index: InMemoryFaceIndex, held: FaceKeys | None = None) -> Rekeying:
    return Rekeying(index=index, keys=held or keys(), patience=Patience())


def key_ids(index: InMemoryFaceIndex) -> set[str]:
    return {place.key_id for place, faces in index.places.items() if faces}


async def test_all_are_under_the_new_key_and_found_when_the_old_one_is_gone():
    index = await filled()
    assert await rekeying(index).run(NOW_MS) == Rekeyed(key="k2", tenants=2, moved=MANY, current=1)
    assert key_ids(index) == {"k2"}
    alone = keys(replace(NEW, since_ms=0))
    for person in range(MANY):
        met = await index.meet(sighting(person, NOW_MS, alone, number=1), WITHIN)
        assert [hit.submission_id for hit in met.hits] == [f"sub-{person}-0"]


async def test_a_worker_that_still_has_both_keys_finds_them_before_and_after():
    index = await filled()
    before = await index.meet(sighting(3, NOW_MS, keys(), number=1), WITHIN)
    await rekeying(index).run(NOW_MS)
    after = await index.meet(sighting(3, NOW_MS, keys(), number=2), WITHIN)
    assert {hit.submission_id for hit in before.hits} == {"sub-3-0"}
    assert {hit.submission_id for hit in after.hits} == {"sub-3-0", "sub-3-1"}


async def test_again_nothing_is_moved():
    index = await filled()
    await rekeying(index).run(NOW_MS)
    assert await rekeying(index).run(NOW_MS) == Rekeyed(key="k2", tenants=2, moved=0, current=MANY + 1)


async def test_cut_short_it_is_taken_up_again():
    stop = [PAGE]

    def on_call(name: str) -> None:
        if name == "replace":
            if not stop[0]:
                raise RuntimeError("killed")
            stop[0] -= 1

    index = await filled(on_call=on_call)
    with pytest.raises(RuntimeError):
        await rekeying(index).run(NOW_MS)
    assert key_ids(index) == {"k1", "k2"}
    stop[0] = MANY
    done = await rekeying(index).run(NOW_MS)
    assert done.moved == MANY - PAGE
    assert key_ids(index) == {"k2"}


async def test_it_waits_for_redis():
    index = await filled(on_call=Away(2, only="replace"))
    assert (await rekeying(index).run(NOW_MS)).moved == MANY


async def test_a_key_that_is_not_yet_in_force_is_not_used():
    index = await filled()
    assert (await rekeying(index, keys(OLD, NEW, SOON)).run(NOW_MS)).key == "k2"


async def test_faces_under_a_key_that_nobody_holds_are_counted_and_left():
    index = await filled()
    done = await rekeying(index, keys(replace(NEW, since_ms=0))).run(NOW_MS)
    assert (done.moved, done.lost) == (0, MANY)


async def test_one_tenant_alone():
    index = await filled()
    assert await rekeying(index).run(NOW_MS, [None]) == Rekeyed(key="k2", tenants=1, moved=0, current=1)
    assert key_ids(index) == {"k1", "k2"}


async def test_who_is_forgotten_meanwhile_stays_forgotten():
    index = await filled()
    moving = [each async for each in index.prints("acme", NOW_MS)]
    await index.forget("acme", "cid-3-0")
    for place, each in moving:
        await index.replace(place, each)
    assert await index.held("acme", "cid-3-0") == 0
