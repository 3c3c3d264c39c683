"""The face index beyond the contract of both indexes (`test_reuse_indexes`): distances, keys, buckets, deadlines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import (
    FEW_LINKS,
    LINKS,
    MOST_CANDIDATES,
    CandidateList,
    EnrolledReference,
    FaceIndex,
    FacePlan,
    IndexBucket,
    InMemoryFaceIndex,
    bucket_named,
)
from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from abuse.faces.redis_face_commands import NEAR, FaceCommands
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from config.errors import Unavailable
from tests.contract.index_cases import FACE_PLAN as PLAN
from tests.contract.index_cases import FACES, MODEL, WITHIN, face, ids, protected, search
from tests.contract.index_cases import face_of as seen
from tests.contract.redis_servers import FaultyRedis, RedisServer, Relay
from tests.instants import LONG_PAST_MS, NOW_MS

KEYS = TemplateProtection(
    [HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS)], reach_ms=PLAN.window_ms
)


PORT = FACES


@pytest.fixture
def index(redis_server: RedisServer) -> RedisFaceIndex:
    return on(redis_server)


def on(redis_server: RedisServer, plan: FacePlan = PLAN, calls: RedisClient | None = None) -> RedisFaceIndex:
    return RedisFaceIndex(calls or redis_server.connect(), redis_server.prefix, plan)


def commands_on(redis_server: RedisServer) -> FaceCommands:
    return FaceCommands(redis_server.prefix, PLAN)


def under_k2(reference: EnrolledReference) -> EnrolledReference:
    return replace(reference, template=KEYS.rotate(reference.template, "acme", "k2"))


async def listed(index: FaceIndex, tenant: str | None = "acme") -> list[tuple[IndexBucket, EnrolledReference]]:
    return [each async for each in index.references(tenant, NOW_MS)]


async def test_gallery_counts_every_other_face(held):
    result = await search(held.store, *(seen(number) for number in range(5)))
    assert result == CandidateList(candidates=(), gallery=4, complete=True)


async def test_nearest_candidates_come_first(held):
    """By the distance of the templates themselves."""
    others = [seen(n, 7, 3, variation=v) for n, v in enumerate((0.3, 0.1, 0.2, 0.01), start=1)]
    await held.store.enrol(others)
    probe = seen(9, 7, variation=0.0)
    result = await search(held.other_worker, probe)
    assert ids(result) == ["sub-4", "sub-2", "sub-3", "sub-1"]
    exact = distances(probe.template, [each.template for each in others], Distance.EUCLIDEAN)
    assert [each.distance for each in result.candidates] == sorted(exact)
    assert exact[1] == pytest.approx(float(np.linalg.norm(face(7, 0.1, 2) - face(7, 0.0, 9))), abs=0.0005)


async def test_threshold_is_exact(held):
    """Though the server's vectors have eight bits a number."""
    others = [seen(number, 7, variation=0.5 + (number - 20) / 4000) for number in range(1, 21)]
    await held.store.enrol(others)
    probe = seen(99, 7, variation=0.0)
    exact = distances(probe.template, [other.template for other in others], Distance.EUCLIDEAN)
    for within in (0.4968, 0.4976, 0.499):
        expected = {o.submission_id for o, distance in zip(others, exact, strict=True) if distance <= within}
        assert 0 < len(expected) < 20
        assert set(ids(await search(held.store, probe, within=within))) == expected


async def test_length_counts_in_euclidean_distance(held):
    """The server compares directions; a short vector beside a long one is far by length alone."""
    await held.store.enrol([seen(n, template=protected(face(7) * s)) for n, s in enumerate((0.5, 0.8, 1.2, 1.5, 3.0))])
    probe = seen(9, template=protected(face(7)))
    assert set(ids(await search(held.store, probe))) == {"sub-1", "sub-2"}
    assert set(ids(await search(held.store, probe, within=5.0))) == {f"sub-{number}" for number in range(5)}


async def test_cosine_distance_as_brute_force(held):
    """The lengths of the vectors don't count."""
    chance = np.random.default_rng(1)
    gallery = [
        seen(n, hours=n % 5, template=protected(face(7, chance.uniform(0.1, 2.5), n) * scale, model="turned"))
        for n, scale in enumerate(10.0 ** chance.uniform(-2, 3, 150))
    ]
    await held.store.enrol(gallery)
    probe = seen(999, template=protected(face(7) * 17.0, model="turned"))
    exact = distances(probe.template, [each.template for each in gallery], Distance.COSINE)
    for within in (0.02, 0.15, 0.4):
        near = {each.submission_id: far for each, far in zip(gallery, exact, strict=True) if far <= within}
        assert 0 < len(near) < len(gallery)
        result = await search(held.other_worker, probe, within=within)
        found = {each.submission_id: each.distance for each in result.candidates}
        assert found == pytest.approx({name: near[name] for name in found}, abs=1e-9)
        assert len(found) == min(len(near), MOST_CANDIDATES)


async def test_own_correlation_id_is_left_out(held):
    """A stranger who uses the same submission id is not."""
    await search(held.store, seen(1, 7, correlation_id="me"), seen(2, 7))
    assert ids(await search(held.store, seen(3, 7, correlation_id="me"))) == ["sub-2"]
    again = await search(held.store, seen(2, 7, correlation_id="somebody-else"))
    assert set(ids(again)) == {"sub-1", "sub-2", "sub-3"}


TEMPLATE = seen(1, 7).template
INCOMPARABLE: dict[str, dict[str, Any]] = {
    "tenant": {"tenant": None},
    "key": {"template": replace(TEMPLATE, key_id="k9")},
    "model": {"template": replace(TEMPLATE, model="another")},
    "length": {"template": ProtectedTemplate(MODEL, "k1", TEMPLATE.vector[:64])},
}


@pytest.mark.parametrize("other", INCOMPARABLE.values(), ids=INCOMPARABLE)
async def test_incomparable_templates_never_meet(held, other):
    await search(held.store, seen(1, 7))
    result = await search(held.store, replace(seen(2, 7), **other))
    assert (result.candidates, result.gallery) == ((), 0)
    assert ids(await search(held.store, replace(seen(3, 7), **other))) == ["sub-2"]


async def test_former_keys_are_searched(held):
    vector = face(7, 0.05, 1).astype("<f4").tobytes()
    before, after = NOW_MS - HOUR_MS, NOW_MS + 1000
    old, new = (KEYS.transform("acme", MODEL, vector, at_ms) for at_ms in (before, after))
    assert (old.key_id, new.key_id) == ("k1", "k2")
    await search(held.store, seen(1, template=old, at_ms=before))
    assert ids(await search(held.store, seen(2, template=new, at_ms=after))) == []
    former = KEYS.under_all(new, "acme", after)
    result = await search(held.store, seen(3, template=new, at_ms=after, former=former))
    assert set(ids(result)) == {"sub-1", "sub-2"}
    assert all(each.distance < 0.001 for each in result.candidates)
    late = seen(4, template=old, at_ms=before, former=KEYS.under_all(old, "acme", before))
    assert set(ids(await search(held.store, late))) == {"sub-1", "sub-2", "sub-3"}


async def test_new_buckets_are_searched(held):
    """Each worker remembers buckets from earlier searches; the other worker makes new ones all the time."""
    for number in range(0, 20, 2):
        await search(held.store, seen(number, 7, number))
        result = await search(held.other_worker, seen(number + 1, 7, number + 1))
        assert set(ids(result)) == {f"sub-{each}" for each in range(number + 1)}


async def test_full_bucket_is_searched_again(held):
    """Own faces hide no other."""
    many = [seen(number, 7) for number in range(NEAR + 10)]
    assert len((await search(held.store, *many)).candidates) == len(many) - 1
    own = [seen(number, 8, correlation_id="me") for number in range(100, 100 + 2 * NEAR)]
    assert ids(await search(held.store, seen(99, 8, variation=0.3), *own)) == ["sub-99"]


async def test_candidate_list_is_bounded():
    index = InMemoryFaceIndex(PLAN)
    await index.enrol([seen(number, 7, variation=0.001 * number) for number in range(1, MOST_CANDIDATES + 50)])
    result = await search(index, seen(9999, 7, variation=0.0))
    assert len(result.candidates) == MOST_CANDIDATES
    assert result.candidates[-1].distance < 0.001 * (MOST_CANDIDATES + 1)


async def test_plan_may_change_between_workers(redis_server, index):
    await search(index, *(seen(number, 7, number / 2) for number in range(8)))
    second = on(redis_server, replace(PLAN, most_faces=3, span_ms=6 * HOUR_MS))
    assert len(ids(await search(second, *(seen(number, 7, number / 2) for number in range(8, 16))))) == 15
    assert len(ids(await search(index, seen(99, 7)))) == 16


async def test_full_bucket_is_followed_by_another(redis_server):
    """As soon as a worker knows; buckets of the layout before, with fewer links, are read and filled as they are."""
    plan = replace(PLAN, span_ms=DAY_MS, most_faces=3)
    first, second = (on(redis_server, plan) for _ in range(2))
    former = replace(plan.bucket(seen(0, 7)), links=FEW_LINKS)
    assert bucket_named("acme", former.name) == former
    await redis_server.connect().execute(FaceCommands(redis_server.prefix, plan).add(seen(0, 7), former))
    for number in range(1, 8):
        assert len(ids(await search((first, second)[number % 2], seen(number, 7)))) == number
    buckets = {bucket async for bucket, _ in first.references("acme", NOW_MS)}
    assert buckets == {former, *(plan.bucket(seen(0, 7), part) for part in range(2))}
    assert await first.forget("acme", "cid-4") == 1
    assert len(ids(await search(second, seen(9, 7)))) == 7


async def test_references_are_listed_by_bucket(held):
    faces = {f"sub-{number}": seen(number, hours=number) for number in range(6)}
    await held.store.enrol([*faces.values(), seen(7, tenant=None)])
    found = await listed(held.other_worker)
    assert {reference.submission_id for _, reference in found} == set(faces)
    for bucket, reference in found:
        original = faces[reference.submission_id]
        assert bucket == PLAN.bucket(original)
        assert np.array_equal(reference.template.halves, original.template.halves)
        assert replace(reference, template=original.template) == original
    assert [reference.submission_id for _, reference in await listed(held.store, None)] == ["sub-7"]
    assert await held.store.tenants() == [None, "acme"]


async def move(index: FaceIndex, bucket: IndexBucket, reference: EnrolledReference) -> None:
    assert await index.copy(bucket, under_k2(reference))
    await index.drop(bucket, under_k2(reference))


async def rekey(index: FaceIndex, stop_after: int = 10_000) -> int:
    """Re-keying, interrupted after a number of faces."""
    done = 0
    async for bucket, reference in index.references("acme", NOW_MS):
        if bucket.key_id != "k2" and done < stop_after:
            await move(index, bucket, reference)
            done += 1
    return done


async def test_interrupted_rekeying_continues(held):
    vectors = [face(7, 0.1, number).astype("<f4").tobytes() for number in range(6)]
    old = [KEYS.transform("acme", MODEL, vector, NOW_MS - 1) for vector in vectors]
    await held.store.enrol([seen(n, template=each, hours=n + 1) for n, each in enumerate(old)])
    assert await rekey(held.store, stop_after=2) == 2
    assert await rekey(held.other_worker) == 4
    assert await rekey(held.store) == 0
    result = await search(held.store, seen(9, template=KEYS.transform("acme", MODEL, vectors[0], NOW_MS)))
    assert (len(result.candidates), result.gallery) == (6, 6)
    assert await held.store.forget("acme", "cid-3") == 1


async def test_rekeying_revives_no_forgotten_face(held):
    await held.store.enrol([seen(1), seen(2)])
    before = await listed(held.store)
    await held.other_worker.forget("acme", "cid-1")
    for bucket, reference in before:
        await move(held.store, bucket, reference)
    assert [reference.submission_id for _, reference in await listed(held.store)] == ["sub-2"]


async def test_face_forgotten_during_a_copy(redis_server):
    calls = redis_server.connect()
    index = on(redis_server, calls=calls)
    await index.enrol([seen(1)])
    ((bucket, reference),) = await listed(index)

    class ForgottenMeanwhile(Relay):
        """Forgets after the look whether the face is still there."""

        async def execute(self, commands: Sequence[Command]) -> list[Reply]:
            replies = await super().execute(commands)
            if commands[-1][0] == "VGETATTR":
                assert await index.forget("acme", "cid-1") == 1
            return replies

    await move(on(redis_server, calls=ForgottenMeanwhile(calls)), bucket, reference)
    assert await listed(index) == []
    left = {key.removeprefix(f"{redis_server.prefix}abuse:").partition(":")[0] for key in await redis_server.keys()}
    assert "faces-of" not in left, "nothing names the correlation id"


async def test_copy_not_taken_back_is_erased_later(redis_server, index):
    """Forgotten during a copy, while the nodes that hold the face were away."""
    await index.enrol([seen(1)])
    ((bucket, reference),) = await listed(index)
    await redis_server.client.set(commands_on(redis_server).gone("acme", "cid-1"), "1")
    await index.enrol([under_k2(reference)])
    failing = FaultyRedis(redis_server.connect(), lambda command: command[0] == "VREM")
    copied = under_k2(reference)
    with pytest.raises(Unavailable):
        await on(redis_server, calls=failing)._take_back((bucket, PLAN.bucket(copied)), copied)
    assert await index.forget("acme", "cid-1") == 1
    assert await listed(index) == []


async def test_traces_expire_while_more_come(redis_server, index):
    key = commands_on(redis_server).faces_of("acme", "me")
    await index.enrol([seen(number, correlation_id="me", hours=number) for number in range(3)])
    for added, count in ((seen(2, correlation_id="me", hours=2), 3), (seen(9, correlation_id="me", hours=-24 * 4), 1)):
        assert await redis_server.client.zcard(key) == 3
        await index.enrol([added])
        assert await redis_server.client.zcard(key) == count


async def test_face_under_two_keys_counts_once(held):
    await held.store.enrol([seen(1, 7)])
    ((bucket, reference),) = await listed(held.store)
    for _ in range(2):
        assert await held.store.copy(bucket, under_k2(reference))
    former = (under_k2(seen(2, 7)).template,)
    assert ids(await search(held.store, seen(2, 7, former=former))) == ["sub-1"]
    assert await held.other_worker.held("acme", "cid-1") == 1
    assert await held.other_worker.forget("acme", "cid-1") == 1
    assert [reference.submission_id for _, reference in await listed(held.store)] == ["sub-2"]


async def test_face_enrolled_after_forgetting_waits(redis_server, index):
    """Whether the face was there before can't be known; it must neither come back nor be lost."""
    await index.enrol([seen(1, 7)])
    await index.forget("acme", "cid-1")
    await index.enrol([seen(1, 7)])
    ((bucket, reference),) = await listed(index)
    assert not await index.copy(bucket, under_k2(reference))
    assert ids(await search(index, seen(2, 7))) == ["sub-1"]
    await redis_server.client.unlink(commands_on(redis_server).gone("acme", "cid-1"))  # as after ten minutes
    await move(index, bucket, reference)
    assert [s.template.key_id for _, s in await listed(index) if s.submission_id == "sub-1"] == ["k2"]


class Failing:
    def __init__(self, message: str) -> None:
        self._message = message

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        raise RuntimeError(self._message)


async def test_server_without_vector_sets(held):
    assert await held.store.supported()
    for message in ("unknown command 'VCARD', with args beginning with: 'x'", "ERR unknown command `VCARD`"):
        assert not await RedisFaceIndex(Failing(message), "", PLAN).supported()
    with pytest.raises(RuntimeError, match="LOADING"):
        await RedisFaceIndex(Failing("LOADING"), "", PLAN).supported()


async def test_deadline_leaves_out_oldest_buckets(redis_server):
    plan = replace(PLAN, batch=3, concurrency=2)
    index = on(redis_server, plan)
    await search(index, *(seen(number, 7, number) for number in range(12)))
    ticks = iter([0.0, 0.0, *[99.0] * 50])
    hurried = RedisFaceIndex(
        redis_server.connect(), redis_server.prefix, replace(plan, deadline_s=1), lambda: next(ticks)
    )
    result = await search(hurried, seen(20, 7))
    assert not result.complete
    assert 0 < result.gallery < 12
    full = await search(index, seen(20, 7))
    assert (full.complete, len(full.candidates)) == (True, 12)
    late = on(redis_server, replace(plan, deadline_s=0))
    late._listed.update(index._listed)
    result = await search(late, seen(20, 7))
    assert (result.complete, set(ids(result))) == (False, {"sub-0", "sub-1", "sub-2"})


async def test_last_face_decides_expiry(redis_server, index):
    """In event time, whatever is enrolled after."""
    await search(index, seen(1, hours=5), *(seen(2, hours=hours) for hours in (30, 2, 40)))
    await index.forget("acme", "cid-9")
    for key in await redis_server.keys():
        assert await redis_server.client.pttl(key) > 0, key
    commands, bucket = commands_on(redis_server), PLAN.bucket(seen(2, hours=2))
    for key in (commands.faces_of("acme", "cid-2"), commands.faces(bucket)):
        assert abs(await redis_server.expires_ms(key) - PLAN.kept_until_ms(bucket.end_ms)) < 60_000, key


async def test_tenants_and_faces_beyond_retention(redis_server, index):
    result = await search(index, seen(1, at_ms=LONG_PAST_MS))
    assert result == CandidateList(candidates=(), gallery=0, complete=True)
    assert await redis_server.keys() == []
    await search(index, seen(1), seen(2, tenant="former", hours=24 * 400), seen(3, tenant="late", hours=24), seen(4))
    assert await index.tenants() == ["acme", "late"]


@pytest.mark.parametrize("value", ["faces", "places", "traces", "attributes", "element"])
async def test_foreign_value_is_named(redis_server, index, value):
    client, commands, reference = redis_server.client, commands_on(redis_server), seen(1, 7)
    key, vector = commands.faces(PLAN.bucket(reference)), reference.template.vector
    if value == "faces":
        await client.set(key, "text")
    elif value == "places":
        await client.sadd(key := commands.buckets_of("acme", NOW_MS // DAY_MS), "whatever")
    elif value == "traces":
        await client.zadd(key := commands.faces_of("acme", "cid-1"), {"whatever": 1})
    elif value == "attributes":
        await client.execute_command("VADD", key, "FP32", vector, "a b", "Q8", "SETATTR", "[1]", "M", LINKS)
    else:
        await client.execute_command("VADD", key, "FP32", vector, "alone", "Q8", "M", LINKS)
    with pytest.raises(ForeignValue, match=re.escape(key)):
        await (index.forget("acme", "cid-1") if value == "traces" else search(index, reference))


MANY = 3000


async def test_recall_among_many_faces(real_redis):
    """Against a comparison with every face; 128 numbers, as templates have."""
    chance = np.random.default_rng(11)
    gallery = (chance.standard_normal((MANY, 128)) * 0.12).astype("<f4")
    off = chance.standard_normal((400, 128))
    off *= (chance.uniform(0.1, 0.55, 400) / np.linalg.norm(off, axis=1))[:, None]
    probes = (gallery[:400] + off).astype("<f4")
    index = on(real_redis)
    faces = [seen(n, template=protected(row), hours=n % 3) for n, row in enumerate(gallery)]
    for start in range(0, MANY, 20):
        await index.enrol(faces[start : start + 20])
    wanted = found = 0
    for number, probe in enumerate(probes):
        apart = np.linalg.norm(gallery - probe, axis=1)
        near = {f"sub-{n}" for n in np.flatnonzero(apart <= WITHIN)}
        result = await search(index, seen(10_000 + number, template=protected(probe), correlation_id="probe"))
        wanted += len(near)
        found += len(near & set(ids(result)))
        assert set(ids(result)) <= {f"sub-{n}" for n in np.flatnonzero(apart <= WITHIN + 0.001)}
    assert wanted > 300
    assert found / wanted >= 0.99


FAULTS = [{"span_ms": 7 * HOUR_MS}, {"span_ms": 0}, {"most_faces": 0}, {"window_ms": 0}, {"concurrency": 0}]


@pytest.mark.parametrize("wrong", FAULTS)
def test_impossible_plan_is_refused(wrong):
    with pytest.raises(ValueError, match=r"span_ms|window"):
        FacePlan(**wrong)
