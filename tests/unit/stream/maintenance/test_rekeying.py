"""Every face to the key in force: nobody is forgotten, it may be cut short and repeated, and others go on meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from abuse.event_time import DAY_MS
from abuse.faces.face_index import EnrolledReference, FacePlan, InMemoryFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from config.errors import Unavailable
from stream.maintenance.rekeying import PAGE, Rekeyed, Rekeying, longest_search_s
from stream.runtime.patience import RetryPolicy
from tests.enrolling import enrol_and_search
from tests.unit.stream.fakes import Away

NOW_MS = 1_760_000_000_000
OLD = HashKey(id="k1", secret=b"1" * 32)
NEW = HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS - DAY_MS)
SOON = HashKey(id="k3", secret=b"3" * 32, since_ms=NOW_MS + DAY_MS)
MANY = 2 * PAGE + 5
WITHIN = 0.1


def keys(*given: HashKey) -> TemplateProtection:
    return TemplateProtection(given or [OLD, NEW], reach_ms=7 * DAY_MS)


def face(person: int) -> bytes:
    return np.random.default_rng(person).normal(size=16).astype("<f4").tobytes()


def reference(
    person: int, at_ms: int, held: TemplateProtection, tenant: str | None = "acme", number: int = 0
) -> EnrolledReference:
    template = held.transform(tenant, "net", face(person), at_ms)
    ids = {"correlation_id": f"cid-{person}-{number}", "submission_id": f"sub-{person}-{number}", "session_id": None}
    former = held.under_all(template, tenant, at_ms)
    return EnrolledReference(tenant=tenant, **ids, at_ms=at_ms, template=template, former=former)


async def filled(**changes) -> InMemoryFaceIndex:
    """Many faces of the old key, and one of the new."""
    index = InMemoryFaceIndex(FacePlan(), **changes)
    await index.enrol([reference(n, NOW_MS - 2 * DAY_MS, keys()) for n in range(MANY)])
    await index.enrol([reference(0, NOW_MS, keys(), tenant=None)])
    return index


def rekeying(index: InMemoryFaceIndex, held: TemplateProtection | None = None, overlap_s: float = 0.0) -> Rekeying:
    return Rekeying(index=index, keys=held or keys(), patience=RetryPolicy(), overlap_s=overlap_s)


def key_ids(index: InMemoryFaceIndex) -> set[str]:
    return {place.key_id for place, faces in index.buckets.items() if faces}


async def test_all_move_to_new_key():
    index = await filled()
    assert await rekeying(index).run(NOW_MS) == Rekeyed(key="k2", tenants=2, moved=MANY, current=1)
    assert key_ids(index) == {"k2"}
    alone = keys(replace(NEW, since_ms=0))
    for person in range(MANY):
        met = await enrol_and_search(index, reference(person, NOW_MS, alone, number=1), WITHIN)
        assert [hit.submission_id for hit in met.candidates] == [f"sub-{person}-0"]


class Killed:
    """Ends the run at its first call of a name beyond so many."""

    def __init__(self, name: str, after: int) -> None:
        self._name, self.left = name, after

    def __call__(self, name: str) -> None:
        self.left -= name == self._name
        if self.left < 0:
            raise RuntimeError("killed")


@pytest.mark.parametrize("step", ["copy", "drop"])
async def test_cut_short_and_resumed(step):
    """And once more, when nothing is left to move."""
    killed = Killed(step, PAGE)
    index = await filled(on_call=killed)
    with pytest.raises(RuntimeError):
        await rekeying(index).run(NOW_MS)
    assert key_ids(index) == {"k1", "k2"}
    killed.left = MANY
    assert (await rekeying(index).run(NOW_MS)).moved == MANY - PAGE
    assert key_ids(index) == {"k2"}
    assert await rekeying(index).run(NOW_MS) == Rekeyed(key="k2", tenants=2, moved=0, current=MANY + 1)


@pytest.mark.parametrize("step", ["tenants", "references", "copy", "drop"])
async def test_rekeying_waits_for_redis(step):
    index = await filled(on_call=Away(2, only=step))
    assert (await rekeying(index).run(NOW_MS)).moved == MANY


async def test_redis_away_while_faces_are_read():
    """Each face that is moved is counted once."""
    index = await filled()
    every, left = index.references, [PAGE + 3]

    async def cut(tenant, now_ms):
        async for found in every(tenant, now_ms):
            left[0] -= 1
            if left[0] == 0:
                raise Unavailable("redis", "ConnectionError")
            yield found

    index.references = cut  # type: ignore[method-assign]
    done = await rekeying(index).run(NOW_MS)
    assert (done.tenants, done.moved, done.lost) == (2, MANY, 0)
    assert key_ids(index) == {"k2"}


async def test_redis_emptied_while_faces_are_moved():
    contents = iter(["one", "another"])

    async def content() -> object:
        return next(contents)

    with pytest.raises(Unavailable, match="lost its content"):
        await replace(rekeying(await filled()), content=content).run(NOW_MS)


async def test_old_copies_outlast_searches():
    """Time passes only while it waits: the pages of the first tenant are dropped when that of the second is due."""
    now_s, kept = [100.0], []
    index = await filled()

    async def sleep(seconds: float) -> None:
        kept.append(sum(len(faces) for place, faces in index.buckets.items() if place.key_id == "k1"))
        now_s[0] += seconds

    moving = replace(rekeying(index, overlap_s=longest_search_s(0.5, 1.0)), clock=lambda: now_s[0], sleep=sleep)
    assert (await moving.run(NOW_MS)).moved == MANY
    assert (kept, now_s) == ([MANY], [104.5])
    assert key_ids(index) == {"k2"}


@pytest.mark.parametrize(
    ("held", "moved", "lost"), [((OLD, NEW, SOON), MANY, 0), ((replace(NEW, since_ms=0),), 0, MANY)]
)
async def test_keys_not_yet_in_force_and_lost(held, moved, lost):
    done = await rekeying(await filled(), keys(*held)).run(NOW_MS)
    assert (done.key, done.moved, done.lost) == ("k2", moved, lost)


async def test_one_tenant_alone():
    index = await filled()
    assert await rekeying(index).run(NOW_MS, [None]) == Rekeyed(key="k2", tenants=1, moved=0, current=1)
    assert key_ids(index) == {"k1", "k2"}


async def test_forgotten_meanwhile():
    index = await filled()
    moving = [each async for each in index.references("acme", NOW_MS)]
    await index.forget("acme", "cid-3-0")
    for place, each in moving:
        await index.copy(place, each)
        await index.drop(place, each)
    assert await index.held("acme", "cid-3-0") == 0
