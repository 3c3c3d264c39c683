"""One suite for every face index: in memory, on the embedded Redis, a real one and a real cluster.

What each must hold to: whoever is met later finds the other, however often, late and in whatever order faces come;
distances are exact; everything expires; nobody forgotten comes back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import (
    MOST_CANDIDATES,
    CandidateList,
    EnrolledReference,
    FaceIndex,
    FacePlan,
    IndexBucket,
    InMemoryFaceIndex,
)
from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from abuse.faces.redis_face_commands import NEAR, FaceCommands
from abuse.faces.redis_face_index import RedisFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.redis_port import Command, ForeignValue, RedisClient, Reply
from config.errors import Unavailable
from tests.contract.redis_servers import FaultyRedis, RedisServer, scattered
from tests.enrolling import enrol_and_search
from tests.instants import LONG_PAST_MS, NOW_MS

MODEL, DIMENSIONS, WITHIN = "made-up", 32, 0.5
PLAN = FacePlan(window_ms=2 * DAY_MS, deadline_s=30, distances={"turned": Distance.COSINE})
KEYS = TemplateProtection(
    [HashKey(id="k1", secret=b"1" * 32), HashKey(id="k2", secret=b"2" * 32, since_ms=NOW_MS)], reach_ms=PLAN.window_ms
)
PROPERTY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Held:
    """An index, another worker's over the same state, and where there is one, the server."""

    index: FaceIndex
    other_worker: FaceIndex
    redis_server: RedisServer | None = None

    def fresh(self, plan: FacePlan = PLAN) -> Held:
        """An empty index on the same server."""
        return held_on(self.redis_server and self.redis_server.apart(), plan)

    def again(self, prefix: str, plan: FacePlan) -> FaceIndex:
        assert self.redis_server is not None
        return RedisFaceIndex(self.redis_server.connect(), prefix, plan)


@pytest.fixture
def held(any_redis: RedisServer | None) -> Held:
    return held_on(any_redis)


def held_on(redis_server: RedisServer | None, plan: FacePlan = PLAN) -> Held:
    if redis_server is None:
        memory = InMemoryFaceIndex(plan)
        return Held(memory, memory)
    indexes = (RedisFaceIndex(calls, redis_server.prefix, plan) for calls in redis_server.workers())
    return Held(*indexes, redis_server)


def face(person: int, variation: float = 0.0, seed: int = 0) -> np.ndarray:
    """A template of about length 1.3, `variation` away from the person's own."""
    own = np.random.default_rng(person).standard_normal(DIMENSIONS) * 0.23
    off = np.random.default_rng([person, seed, 1]).standard_normal(DIMENSIONS)
    return own + off / np.linalg.norm(off) * variation


def printed(vector: np.ndarray, key_id: str = "k1", model: str = MODEL) -> ProtectedTemplate:
    return ProtectedTemplate(model, key_id, vector.astype("<f4").tobytes())


def seen(number: int, person: int | None = None, hours: float = 0.0, **changes: Any) -> EnrolledReference:
    """Submission `number`, of correlation id `number` unless it is given, `hours` before now."""
    variation = changes.pop("variation", 0.02)
    fields: dict[str, Any] = {
        "tenant": "acme",
        "correlation_id": f"cid-{number}",
        "submission_id": f"sub-{number}",
        "session_id": f"session-{number}",
        "at_ms": NOW_MS - round(hours * HOUR_MS),
        "template": printed(face(person or number, variation, number)),
    }
    return EnrolledReference(**(fields | changes))


async def find_candidates(index: FaceIndex, *references: EnrolledReference, within: float = WITHIN) -> CandidateList:
    """The answer to the last."""
    for each in references:
        met = await enrol_and_search(index, each, within)
    return met


def found(met: CandidateList) -> list[str]:
    return [hit.submission_id for hit in met.candidates]


async def test_nobody_near_is_no_hit(held):
    met = await find_candidates(held.index, *(seen(number) for number in range(5)))
    assert (met.candidates, met.gallery, met.complete) == ((), 4, True)


async def test_a_near_face_of_another_correlation_id_is_found_with_all_that_is_known(held):
    first, later = seen(1, person=7), seen(2, person=7, hours=3)
    await find_candidates(held.index, first)
    met = await find_candidates(held.other_worker, later)
    (hit,) = met.candidates
    assert (hit.correlation_id, hit.submission_id, hit.session_id) == ("cid-1", "sub-1", "session-1")
    assert hit.at_ms == first.at_ms
    apart = float(np.linalg.norm(face(7, 0.02, 1) - face(7, 0.02, 2)))
    assert hit.distance == pytest.approx(apart, abs=0.0005)
    assert [hit.distance] == distances(later.template, [first.template], Distance.EUCLIDEAN)


async def test_hits_come_nearest_first(held):
    for number, variation in enumerate((0.3, 0.1, 0.2, 0.01), start=1):
        await find_candidates(held.index, seen(number, person=7, variation=variation))
    met = await find_candidates(held.index, seen(9, person=7, variation=0.0))
    assert found(met) == ["sub-4", "sub-2", "sub-3", "sub-1"]
    assert [hit.distance for hit in met.candidates] == sorted(hit.distance for hit in met.candidates)


async def test_the_bound_is_exact_though_vectors_are_kept_in_eight_bits(held):
    others = [seen(number, person=7, variation=0.5 + (number - 20) / 4000) for number in range(1, 21)]
    await find_candidates(held.index, *others)
    probe = seen(99, person=7, variation=0.0)
    exact = distances(probe.template, [other.template for other in others], Distance.EUCLIDEAN)
    for within in (0.4968, 0.4976, 0.499):
        expected = {o.submission_id for o, distance in zip(others, exact, strict=True) if distance <= within}
        assert 0 < len(expected) < 20
        assert set(found(await find_candidates(held.index, probe, within=within))) == expected


async def test_vectors_of_any_length_are_near_when_they_are(held):
    """Scores are of directions; a short vector beside a long one is far by length alone."""
    direction = face(7)
    for number, scale in enumerate((0.5, 0.8, 1.2, 1.5, 3.0), start=1):
        await find_candidates(held.index, seen(number, template=printed(direction * scale)))
    met = await find_candidates(held.index, seen(9, template=printed(direction)))
    assert set(found(met)) == {"sub-2", "sub-3"}
    wide = await find_candidates(held.index, seen(9, template=printed(direction)), within=5.0)
    assert set(found(wide)) == {"sub-1", "sub-2", "sub-3", "sub-4", "sub-5"}


async def test_a_model_of_cosine_distance_knows_no_length(held):
    prints = [printed(face(7) * scale, model="turned") for scale in (0.1, 1.0, 30.0)]
    met = await find_candidates(held.index, *(seen(n, template=each) for n, each in enumerate(prints)), within=0.05)
    assert set(found(met)) == {"sub-0", "sub-1"}
    assert all(abs(hit.distance) < 0.001 for hit in met.candidates)


async def test_directions_are_compared_as_by_brute_force_whatever_the_lengths(held):
    chance = np.random.default_rng(1)
    lengths = 10.0 ** chance.uniform(-2, 3, 150)
    gallery = [
        seen(n, hours=n % 5, template=printed(face(7, chance.uniform(0.1, 2.5), n) * scale, model="turned"))
        for n, scale in enumerate(lengths)
    ]
    await held.index.enrol(gallery)
    probe = seen(999, template=printed(face(7) * 17.0, model="turned"))
    exact = distances(probe.template, [each.template for each in gallery], Distance.COSINE)
    for within in (0.02, 0.15, 0.4):
        near = {each.submission_id: far for each, far in zip(gallery, exact, strict=True) if far <= within}
        assert 0 < len(near) < len(gallery)
        met = await find_candidates(held.other_worker, probe, within=within)
        assert {hit.submission_id: hit.distance for hit in met.candidates} == pytest.approx(near, abs=1e-9)


async def test_the_own_correlation_id_is_left_out_and_who_uses_one_submission_id_is_not(held):
    await find_candidates(held.index, seen(1, person=7, correlation_id="me"), seen(2, person=7))
    met = await find_candidates(held.index, seen(3, person=7, correlation_id="me"))
    assert found(met) == ["sub-2"]
    again = await find_candidates(held.index, seen(2, person=7, correlation_id="somebody-else"))
    assert set(found(again)) == {"sub-1", "sub-2", "sub-3"}


@pytest.mark.parametrize("way", ["tenant", "key", "model", "length"])
async def test_tenants_keys_models_and_lengths_never_meet(held, way):
    one = seen(1, person=7)
    half = ProtectedTemplate(MODEL, "k1", one.template.vector[:64])
    other = {
        "tenant": {"tenant": None},
        "key": {"template": replace(one.template, key_id="k9")},
        "model": {"template": replace(one.template, model="another")},
        "length": {"template": half},
    }[way]
    await find_candidates(held.index, one)
    met = await find_candidates(held.index, replace(seen(2, person=7), **other))
    assert (met.candidates, met.gallery) == ((), 0)
    assert found(await find_candidates(held.index, replace(seen(3, person=7), **other))) == ["sub-2"]


async def test_a_face_under_a_former_key_is_found_by_its_print_under_that_key(held):
    vector = face(7, 0.05, 1).astype("<f4").tobytes()
    before, after = NOW_MS - HOUR_MS, NOW_MS + 1000
    old, new = (KEYS.transform("acme", MODEL, vector, at_ms) for at_ms in (before, after))
    assert (old.key_id, new.key_id) == ("k1", "k2")
    await find_candidates(held.index, seen(1, template=old, at_ms=before))
    assert found(await find_candidates(held.index, seen(2, template=new, at_ms=after))) == []
    met = await find_candidates(
        held.index, seen(3, template=new, at_ms=after, former=KEYS.under_all(new, "acme", after))
    )
    assert set(found(met)) == {"sub-1", "sub-2"}
    assert all(hit.distance < 0.001 for hit in met.candidates)
    late = seen(4, template=old, at_ms=before, former=KEYS.under_all(old, "acme", before))
    assert set(found(await find_candidates(held.index, late))) == {"sub-1", "sub-2", "sub-3"}


async def test_the_window_is_of_event_time_to_the_millisecond_and_both_ways(held):
    edge, beyond = PLAN.window_ms, PLAN.window_ms + 1
    for number, offset in enumerate((edge, beyond, -edge, -beyond), start=1):
        await find_candidates(held.index, seen(number, person=7, at_ms=NOW_MS - offset))
    assert set(found(await find_candidates(held.index, seen(9, person=7)))) == {"sub-1", "sub-3"}


async def test_what_is_learned_in_bulk_is_found(held):
    await held.index.enrol([seen(number, person=7) for number in range(1, 5)])
    await held.index.enrol([])
    assert set(found(await find_candidates(held.other_worker, seen(9, person=7)))) == {
        "sub-1",
        "sub-2",
        "sub-3",
        "sub-4",
    }


async def test_the_same_sighting_again_changes_nothing(held):
    references = [seen(number, person=7) for number in range(4)]
    once = await find_candidates(held.index, *references)
    for _ in range(3):
        assert await find_candidates(held.other_worker, references[3]) == once
    assert (once.gallery, len(once.candidates)) == (3, 3)


async def test_whoever_is_met_later_finds_the_other_worker_s_face_in_a_place_new_to_it(held):
    """Each worker has searched before, and remembers places; new ones are made by the other all the time."""
    for number in range(0, 20, 2):
        await find_candidates(held.index, seen(number, person=7, hours=number))
        met = await find_candidates(held.other_worker, seen(number + 1, person=7, hours=number + 1))
        assert set(found(met)) == {f"sub-{each}" for each in range(number + 1)}


@pytest.mark.parametrize("apart", [0, 0.5], ids=["in one place", "in places new to the other"])
async def test_of_two_met_at_the_same_moment_one_finds_the_other(held, apart):
    for number in range(0, 40, 2):
        both = seen(number, person=500 + number), seen(number + 1, person=500 + number, hours=apart * (number + 2))
        met = await asyncio.gather(
            enrol_and_search(held.index, both[0], WITHIN), enrol_and_search(held.other_worker, both[1], WITHIN)
        )
        assert any(each.candidates for each in met), number


async def test_on_many_nodes_too_one_of_two_finds_the_other(redis_server):
    one, other = (RedisFaceIndex(calls, redis_server.prefix, PLAN) for calls in scattered(redis_server))
    for number in range(0, 30, 2):
        both = seen(number, person=500 + number), seen(number + 1, person=500 + number, hours=1)
        met = await asyncio.gather(enrol_and_search(one, both[0], WITHIN), enrol_and_search(other, both[1], WITHIN))
        assert any(each.candidates for each in met), number


async def test_many_near_faces_in_one_place_are_all_found(held):
    many = [seen(number, person=7) for number in range(3 * NEAR)]
    met = await find_candidates(held.index, *many)
    assert len(met.candidates) == len(many) - 1


async def test_many_faces_of_one_s_own_hide_nobody_s(held):
    await find_candidates(held.index, seen(1, person=7, variation=0.3))
    own = [seen(number, person=7, correlation_id="me") for number in range(2, 2 * NEAR)]
    assert found(await find_candidates(held.index, *own)) == ["sub-1"]


async def test_more_hits_than_told_of_are_the_nearest():
    index = InMemoryFaceIndex(PLAN)
    many = [seen(number, person=7, variation=0.001 * number) for number in range(1, MOST_CANDIDATES + 50)]
    met = await find_candidates(index, *many, seen(9999, person=7, variation=0.0))
    assert len(met.candidates) == MOST_CANDIDATES
    assert met.candidates[-1].distance < 0.001 * (MOST_CANDIDATES + 1)


async def test_a_forgotten_correlation_id_leaves_no_face(held):
    faces = [seen(number, person=7, correlation_id="me", hours=number) for number in range(5)]
    await find_candidates(held.index, *faces, seen(8, person=7), seen(9, person=7, correlation_id="me", tenant="other"))
    assert await held.index.held("acme", "me") == 5
    assert await held.index.held(None, "me") == 0
    assert await held.other_worker.forget("acme", "me") == 5
    assert await held.index.held("acme", "me") == 0
    assert await held.index.forget("acme", "me") == 0
    met = await find_candidates(held.index, seen(10, person=7))
    assert (found(met), met.gallery) == (["sub-8"], 1)
    assert found(await find_candidates(held.index, seen(11, person=7, tenant="other"))) == ["sub-9"]


async def test_somebody_forgotten_may_come_again(held):
    await find_candidates(held.index, seen(1, person=7))
    await held.index.forget("acme", "cid-1")
    await find_candidates(held.index, seen(1, person=7))
    assert found(await find_candidates(held.index, seen(2, person=7))) == ["sub-1"]


async def test_parts_and_stretches_may_change_while_faces_are_kept(held):
    first = held.fresh()
    await find_candidates(first.index, *(seen(number, person=7, hours=number / 2) for number in range(8)))
    if held.redis_server is None:
        first.index.plan = replace(PLAN, parts=3, span_ms=6 * HOUR_MS)
        second = first.index
    else:
        second = held.again(
            first.index._commands._prefix.removesuffix("abuse:"), replace(PLAN, parts=3, span_ms=6 * HOUR_MS)
        )
    more = [seen(number, person=7, hours=number / 2) for number in range(8, 16)]
    assert len(found(await find_candidates(second, *more))) == 15
    if held.redis_server is not None:
        assert len(found(await find_candidates(first.index, seen(99, person=7)))) == 16


async def test_every_face_can_be_listed_with_its_place(held):
    faces = [seen(number, hours=number) for number in range(6)]
    await find_candidates(held.index, *faces, seen(7, tenant=None))
    listed = [each async for each in held.other_worker.references("acme", NOW_MS)]
    assert sorted(s.submission_id for _, s in listed) == [f"sub-{number}" for number in range(6)]
    for place, reference in listed:
        (original,) = (each for each in faces if each.submission_id == reference.submission_id)
        assert place == PLAN.bucket(original)
        assert np.array_equal(reference.template.halves, original.template.halves)
        assert replace(reference, template=original.template) == original
    assert [s.submission_id async for _, s in held.index.references(None, NOW_MS)] == ["sub-7"]
    assert await held.index.tenants() == [None, "acme"]


async def move(index: FaceIndex, place: IndexBucket, reference: EnrolledReference) -> None:
    turned = replace(reference, template=KEYS.rotate(reference.template, "acme", "k2"))
    assert await index.copy(place, turned)
    await index.drop(place, turned)


async def rekey(index: FaceIndex, stop_after: int = 10_000) -> int:
    """What a re-key command does; interrupted after a number of faces."""
    done = 0
    async for place, reference in index.references("acme", NOW_MS):
        if place.key_id != "k2" and done < stop_after:
            await move(index, place, reference)
            done += 1
    return done


async def test_a_rekey_may_be_interrupted_and_run_again(held):
    vectors = [face(7, 0.1, number).astype("<f4").tobytes() for number in range(6)]
    old = [KEYS.transform("acme", MODEL, vector, NOW_MS - 1) for vector in vectors]
    await find_candidates(held.index, *(seen(n, template=each, hours=n + 1) for n, each in enumerate(old)))
    assert await rekey(held.index, stop_after=2) == 2
    assert await rekey(held.other_worker) == 4
    assert await rekey(held.index) == 0
    new = KEYS.transform("acme", MODEL, vectors[0], NOW_MS)
    met = await find_candidates(held.index, seen(9, template=new))
    assert len(met.candidates) == 6
    assert met.gallery == 6
    assert await held.index.forget("acme", "cid-3") == 1


async def test_a_face_forgotten_while_it_is_rekeyed_stays_forgotten(held):
    await find_candidates(held.index, seen(1), seen(2))
    listed = [each async for each in held.index.references("acme", NOW_MS)]
    await held.other_worker.forget("acme", "cid-1")
    for place, reference in listed:
        await move(held.index, place, reference)
    assert [s.submission_id async for _, s in held.index.references("acme", NOW_MS)] == ["sub-2"]


async def test_a_face_forgotten_between_two_steps_of_its_replacement_stays_forgotten(redis_server):
    calls = redis_server.connect()
    index = RedisFaceIndex(calls, redis_server.prefix, PLAN)
    await find_candidates(index, seen(1))
    ((place, reference),) = [each async for each in index.references("acme", NOW_MS)]

    class ForgottenMeanwhile:
        """Forgets behind the look whether the face is still there."""

        async def execute(self, commands: Sequence[Command]) -> list[Reply]:
            replies = await calls.execute(commands)
            if commands[-1][0] == "VGETATTR":
                assert await index.forget("acme", "cid-1") == 1
            return replies

        async def close(self) -> None:
            raise AssertionError

    await move(RedisFaceIndex(ForgottenMeanwhile(), redis_server.prefix, PLAN), place, reference)
    assert [each async for each in index.references("acme", NOW_MS)] == []
    left = {key.removeprefix(f"{redis_server.prefix}abuse:").partition(":")[0] for key in await redis_server.keys()}
    assert "faces-of" not in left, "nothing names the correlation id"


async def test_a_face_that_could_not_be_taken_back_is_found_by_who_erases_again(redis_server):
    """Forgotten while it was copied, and the nodes that hold it were away just then."""
    calls = redis_server.connect()
    index = RedisFaceIndex(calls, redis_server.prefix, PLAN)
    await find_candidates(index, seen(1))
    ((place, reference),) = [each async for each in index.references("acme", NOW_MS)]
    await redis_server.client.set(FaceCommands(redis_server.prefix, PLAN).gone("acme", "cid-1"), "1")
    turned = replace(reference, template=KEYS.rotate(reference.template, "acme", "k2"))
    await index.enrol([turned])
    failing = FaultyRedis(redis_server.connect(), lambda command: command[0] == "VREM")
    with pytest.raises(Unavailable):
        await RedisFaceIndex(failing, redis_server.prefix, PLAN)._take_back(place, turned)
    assert await index.forget("acme", "cid-1") == 1
    assert [each async for each in index.references("acme", NOW_MS)] == []


async def test_where_faces_were_is_forgotten_after_them_though_more_come(redis_server):
    index, commands = (
        RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN),
        FaceCommands(redis_server.prefix, PLAN),
    )
    key = commands.faces_of("acme", "me")
    await index.enrol([seen(number, correlation_id="me", hours=number) for number in range(3)])
    assert await redis_server.client.zcard(key) == 3
    await index.enrol([seen(2, correlation_id="me", hours=2)])
    assert await redis_server.client.zcard(key) == 3
    await index.enrol([seen(9, correlation_id="me", hours=-24 * 4)])
    assert await redis_server.client.zcard(key) == 1


async def test_a_face_under_two_keys_is_one(held):
    await find_candidates(held.index, seen(1, person=7))
    ((place, reference),) = [each async for each in held.index.references("acme", NOW_MS)]
    turned = replace(reference, template=KEYS.rotate(reference.template, "acme", "k2"))
    for _ in range(2):
        assert await held.index.copy(place, turned)
    former = (KEYS.rotate(seen(2, person=7).template, "acme", "k2"),)
    assert found(await find_candidates(held.index, seen(2, person=7, former=former))) == ["sub-1"]
    assert await held.other_worker.held("acme", "cid-1") == 1
    assert await held.other_worker.forget("acme", "cid-1") == 1
    assert [s.submission_id async for _, s in held.index.references("acme", NOW_MS)] == ["sub-2"]


async def test_somebody_who_came_again_after_being_forgotten_is_copied_later(redis_server):
    """Whether the face was there before can't be told; it must neither come back nor be lost."""
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1, person=7))
    await index.forget("acme", "cid-1")
    await find_candidates(index, seen(1, person=7))
    ((place, reference),) = [each async for each in index.references("acme", NOW_MS)]
    turned = replace(reference, template=KEYS.rotate(reference.template, "acme", "k2"))
    assert not await index.copy(place, turned)
    assert found(await find_candidates(index, seen(2, person=7))) == ["sub-1"]
    await redis_server.client.unlink(
        FaceCommands(redis_server.prefix, PLAN).gone("acme", "cid-1")
    )  # as after ten minutes
    assert await index.copy(place, turned)
    await index.drop(place, turned)
    assert [s.template.key_id async for _, s in index.references("acme", NOW_MS) if s.submission_id == "sub-1"] == [
        "k2"
    ]


async def test_vector_sets_are_supported_here(held):
    assert await held.index.supported()


@pytest.mark.parametrize(
    ("told", "expected"),
    [("unknown command 'VCARD', with args beginning with: 'x'", False), ("ERR unknown command `VCARD`", False)],
)
async def test_a_server_without_vector_sets_is_told_apart(told, expected):
    assert await RedisFaceIndex(_Failing(told), "", PLAN).supported() is expected


async def test_another_fault_is_no_answer_to_whether_it_is_supported():
    with pytest.raises(RuntimeError, match="LOADING"):
        await RedisFaceIndex(_Failing("LOADING"), "", PLAN).supported()


class _Failing:
    def __init__(self, told: str) -> None:
        self._told = told

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        raise RuntimeError(self._told)

    async def close(self) -> None:
        raise AssertionError


class Counted:
    """Calls that remember how many commands each round trip had."""

    def __init__(self, calls: RedisClient) -> None:
        self._calls = calls
        self.trips: list[list[Command]] = []

    async def execute(self, commands: Sequence[Command]) -> list[Reply]:
        self.trips.append(list(commands))
        return await self._calls.execute(commands)

    async def close(self) -> None:
        await self._calls.close()


async def test_with_nobody_near_it_takes_two_round_trips_and_with_somebody_three(redis_server):
    calls = Counted(redis_server.connect())
    index = RedisFaceIndex(calls, redis_server.prefix, PLAN)
    await find_candidates(index, *(seen(number, hours=number % 3) for number in range(12)))
    for reference, trips in ((seen(20), 2), (seen(21, person=5), 3)):
        calls.trips.clear()
        await find_candidates(index, reference)
        busy = [trip for trip in calls.trips if trip]
        assert len(busy) == trips, busy
    assert [command[0] for command in busy[2]] == ["VGETATTR"]


async def test_what_is_out_of_time_is_left_out_and_told_newest_places_first(redis_server):
    plan = replace(PLAN, batch=3, concurrency=2)
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, plan)
    await find_candidates(index, *(seen(number, person=7, hours=number) for number in range(12)))
    ticks = iter([0.0, 0.0, *[99.0] * 50])
    hurried = RedisFaceIndex(
        redis_server.connect(), redis_server.prefix, replace(plan, deadline_s=1), lambda: next(ticks)
    )
    met = await find_candidates(hurried, seen(20, person=7))
    assert not met.complete
    assert 0 < met.gallery < 12
    full = await find_candidates(index, seen(20, person=7))
    assert (full.complete, len(full.candidates)) == (True, 12)
    again = RedisFaceIndex(redis_server.connect(), redis_server.prefix, replace(plan, deadline_s=0))
    again._listed.update(index._listed)
    met = await find_candidates(again, seen(20, person=7))
    assert (met.complete, set(found(met))) == (False, {"sub-0", "sub-1", "sub-2"})


async def test_everything_expires_by_event_time(redis_server):
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1, hours=5), seen(2, hours=30), seen(2, hours=2), seen(2, hours=40))
    await index.forget("acme", "cid-9")
    keys = await redis_server.keys()
    assert {key.removeprefix(f"{redis_server.prefix}abuse:").partition(":")[0] for key in keys} == {
        *("faces", "face-places", "faces-of", "faces-gone", "face-tenants")
    }
    latest = NOW_MS + PLAN.window_ms + 3 * DAY_MS
    for key in keys:
        assert 0 < await redis_server.expires_ms(key) <= latest, key
    commands = FaceCommands(redis_server.prefix, PLAN)
    place = PLAN.bucket(seen(2, hours=2))
    until = PLAN.kept_until_ms(place.end_ms)
    traced = await redis_server.expires_ms(commands.faces_of("acme", "cid-2"))
    assert abs(traced - until) < 60_000, "the latest of its faces counts, whatever came after"
    assert abs(await redis_server.expires_ms(commands.faces(place)) - until) < 60_000


async def test_a_tenant_is_forgotten_with_its_last_face_though_others_come(redis_server):
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN)
    await find_candidates(index, seen(1), seen(2, tenant="former", hours=24 * 400), seen(3, tenant="late", hours=24))
    await find_candidates(index, seen(4))
    assert await index.tenants() == ["acme", "late"]


async def test_a_face_older_than_is_kept_leaves_nothing(redis_server):
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN)
    met = await find_candidates(index, seen(1, at_ms=LONG_PAST_MS))
    assert met == CandidateList(candidates=(), gallery=0, complete=True)
    assert await redis_server.keys() == []


async def test_keys_on_a_cluster_are_spread_and_each_has_one_tag(redis_server):
    index = RedisFaceIndex(redis_server.connect(), redis_server.prefix, replace(PLAN, parts=4))
    await find_candidates(index, *(seen(number, hours=number) for number in range(12)))
    for key in await redis_server.keys():
        assert key.count("{") == key.count("}") <= 1, key


@pytest.mark.parametrize("value", ["faces", "places", "traces", "attributes", "element"])
async def test_what_somebody_else_wrote_is_named_by_its_key(redis_server, value):
    index, reference = RedisFaceIndex(redis_server.connect(), redis_server.prefix, PLAN), seen(1, person=7)
    commands = FaceCommands(redis_server.prefix, PLAN)
    key = commands.faces(PLAN.bucket(reference))
    vector = reference.template.vector
    if value == "faces":
        await redis_server.client.set(key, "text")
    elif value == "places":
        await redis_server.client.sadd(key := commands.buckets_of("acme", NOW_MS // DAY_MS), "whatever")
    elif value == "traces":
        await redis_server.client.zadd(key := commands.faces_of("acme", "cid-1"), {"whatever": 1})
    elif value == "attributes":
        await redis_server.client.execute_command("VADD", key, "FP32", vector, "a b", "Q8", "SETATTR", "[1]", "M", 16)
    else:
        await redis_server.client.execute_command("VADD", key, "FP32", vector, "alone", "Q8", "M", 16)
    with pytest.raises(ForeignValue, match=key.replace("|", r"\|").replace("{", r"\{")):
        await (index.forget("acme", "cid-1") if value == "traces" else enrol_and_search(index, reference, WITHIN))


def shuffled(references: Sequence[EnrolledReference], seed: int) -> list[EnrolledReference]:
    """Any order, some more than once."""
    chance = random.Random(seed)
    told = [*references, *(each for each in references if chance.random() < 0.3)]
    chance.shuffle(told)
    return told


@pytest.mark.parametrize("parts", [1, 3])
@settings(PROPERTY, max_examples=10)
@given(
    told=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60)), min_size=2, max_size=12), seed=st.integers(0, 99)
)
async def test_any_order_repetition_and_lateness_end_in_the_same_hits(held, parts, told, seed):
    references = [seen(n, person=who, hours=hours, variation=0.15) for n, (who, hours) in enumerate(told)]
    expected = InMemoryFaceIndex(PLAN)
    await find_candidates(expected, *references)
    fresh = held.fresh(replace(PLAN, parts=parts, batch=5))
    edges, wanted = set(), set()
    for number, reference in enumerate(shuffled(references, seed)):
        met = await enrol_and_search((fresh.index, fresh.other_worker)[number % 2], reference, WITHIN)
        edges |= pairs(reference, met)
    for reference in references:
        met, should = (
            await enrol_and_search(fresh.index, reference, WITHIN),
            await enrol_and_search(expected, reference, WITHIN),
        )
        assert met.candidates == should.candidates
        wanted |= pairs(reference, should)
    assert edges == wanted, "each pair was found while they came in, whatever the order"


def pairs(reference: EnrolledReference, met: CandidateList) -> set[frozenset[str]]:
    return {frozenset((reference.submission_id, hit.submission_id)) for hit in met.candidates}


async def test_planted_pairs_among_five_thousand_are_found(real_redis):
    """Recall against what a comparison with every face finds; 128 numbers, as templates have."""
    chance = np.random.default_rng(11)
    gallery = (chance.standard_normal((5000, 128)) * 0.12).astype("<f4")
    off = chance.standard_normal((400, 128))
    off *= (chance.uniform(0.1, 0.55, 400) / np.linalg.norm(off, axis=1))[:, None]
    probes = (gallery[:400] + off).astype("<f4")
    index = RedisFaceIndex(real_redis.connect(), real_redis.prefix, PLAN)
    references = [seen(n, template=printed(row), hours=n % 3) for n, row in enumerate(gallery)]
    for start in range(0, 5000, 20):
        await asyncio.gather(*(enrol_and_search(index, each, 0.0001) for each in references[start : start + 20]))
    wanted = told = 0
    for number, probe in enumerate(probes):
        apart = np.linalg.norm(gallery - probe, axis=1)
        near = {f"sub-{n}" for n in np.flatnonzero(apart <= WITHIN)}
        met = await enrol_and_search(
            index, seen(10_000 + number, template=printed(probe), correlation_id="probe"), WITHIN
        )
        wanted += len(near)
        told += len(near & set(found(met)))
        assert set(found(met)) <= {f"sub-{n}" for n in np.flatnonzero(apart <= WITHIN + 0.001)}
    assert wanted > 300
    assert told / wanted >= 0.99


def test_a_plan_that_can_t_be_is_refused():
    for wrong in ({"span_ms": 7 * HOUR_MS}, {"span_ms": 0}, {"parts": 0}, {"window_ms": 0}, {"concurrency": 0}):
        with pytest.raises(ValueError, match=r"span_ms|window"):
            FacePlan(**wrong)
