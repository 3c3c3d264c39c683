"""The same face and the same picture on real photographs, a real broker and a real Redis; and the promise on strangers:
how often a submission is linked to one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.links.links import LinkKind
from abuse.links.reuse_references import ReuseReferences
from abuse.submission_ref import SubmissionRef
from config.cache import cache_folder
from detectors.template import TemplateSource, describe
from detectors.template.impostors import ImpostorModel
from stream.bootstrap.abuse import face_keys, open_ledger, open_reuse
from stream.events.topics import Topic
from stream.events.wire.submissions import NewSubmission
from stream.pipeline.capture.marking import model_id
from stream.redis.client import connect
from tests.e2e.abuse_cases import HASH_KEYS
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.photographs import photograph

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: Person A, four photographs: three alone and one beside somebody else. Of the last, its mirror image is a fifth.
OTHERS = ("person_b_1", "person_c_1", "person_d_1", "person_e_1")
STRANGERS = 1000
BUDGET = 0.01


def photographs_of_one_person() -> Iterator[np.ndarray]:
    for number in (1, 2, 3):
        yield photograph(f"person_a_{number}")
    beside = photograph("two_people_1")
    yield beside[: beside.shape[0] * 2 // 3, beside.shape[1] // 2 :]  # further down is a child
    yield np.ascontiguousarray(photograph("person_a_3")[:, ::-1])


def jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return bytes(data)


def submission(picture: np.ndarray, number: int, quality: int = 90) -> NewSubmission:
    return NewSubmission(
        image=jpeg(picture, quality),
        correlation_id=str(uuid.uuid4()),
        submission_id=f"sub-{number}",
        optional={"session_id": f"session-{number}"},
    )


async def submitted(installation: Installation, submissions: list[NewSubmission]) -> dict[str, dict[str, Any]]:
    """Decisions by submission id, of submissions sent one after the other, so that their order is known."""
    for new in submissions:
        await installation.publish([new])
        await installation.drained()
    return {event["submission_id"]: event for event in await installation.events(Topic.DECISIONS)}


async def test_five_ids_are_one_cluster(install: MakeInstallation) -> None:
    """Five photographs of one person under five ids are linked and flagged, four strangers are not."""
    installation = await install(partitions=1, abuse__hash_keys=HASH_KEYS)
    await installation.workers.start().ready()
    strangers = [submission(photograph(name), 100 + number) for number, name in enumerate(OTHERS)]
    mine = [submission(picture, number) for number, picture in enumerate(photographs_of_one_person())]
    decisions = await submitted(installation, [*strangers, *mine])

    ids = sorted(new.correlation_id for new in mine)
    flags = [flag for flag in await installation.events(Topic.ABUSE_FLAGS) if flag["kind"] == "face_reuse"]
    assert sorted({flag["subject"]["key"] for flag in flags}) == ids, "all five are flagged, and no stranger"
    last = decisions["sub-4"]["abuse"]
    assert last["is_abuse_detected"] is False, "the rule is a shadow"
    assert last["other_flagged_sessions"] == [f"session-{number}" for number in (3, 2, 1, 0)]
    assert {decision["error"] for decision in decisions.values()} == {None}, "reported, and nobody is refused"
    newest = max(flags, key=lambda flag: (flag["evidence"]["used"], flag["timestamp"]))["evidence"]
    assert sorted(each["correlation_id"] for each in newest["linked"]) == ids
    assert newest["counts"]["gallery"] == 8
    assert newest["counts"]["expected_false_links"] <= BUDGET

    shown = await liveness(installation, "abuse", "show", ids[0], "--json")
    assert sorted(shown.lines[0]["cluster"]["correlation_ids"]) == ids
    assert {link["kind"] for link in shown.lines[0]["cluster"]["links"]} == {"face"}


async def test_repeated_picture_is_flagged(install: MakeInstallation) -> None:
    """The same bytes and four altered copies are linked; another photograph of the person isn't."""
    installation = await install(partitions=1, abuse__hash_keys=HASH_KEYS)
    await installation.workers.start().ready()
    original = photograph("person_b_2")
    height, width = original.shape[:2]
    first = submission(original, 0)
    again = NewSubmission(
        image=first.image, correlation_id=str(uuid.uuid4()), submission_id="sub-1", optional={"session_id": "session-1"}
    )
    cropped = original[round(0.04 * height) :, : width - round(0.04 * width)]
    brighter = np.clip(original.astype(np.float32) * 1.15, 0, 255).astype(np.uint8)
    smaller = cv2.resize(original, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    copies = [original, cropped, brighter, smaller]
    others = [submission(copy, 2 + number, quality=70) for number, copy in enumerate(copies)]
    another_photograph = submission(photograph("person_b_1"), 9)
    decisions = await submitted(installation, [first, again, *others, another_photograph])
    kinds = {
        name: {link["kind"] for link in decision["abuse"]["links"]} - {"face"} for name, decision in decisions.items()
    }
    assert kinds["sub-0"] == set()
    assert kinds["sub-1"] == {"same_bytes"}
    assert all(kinds[f"sub-{number}"] >= {"near_duplicate"} for number in (2, 3, 4, 5)), kinds
    assert kinds["sub-9"] == set(), "another photograph of the same person"
    flags = await installation.events(Topic.ABUSE_FLAGS)
    assert {flag["subject"]["key"] for flag in flags if flag["kind"] == "media_replay"} == {
        new.correlation_id for new in (first, again, *others)
    }


def strangers(model: ImpostorModel, count: int, seed: int) -> np.ndarray:
    """Templates of distinct faces, drawn so that their distances are those measured between strangers."""
    dimensions = round(model.dof)
    drawn = np.zeros((count, 128), "<f4")
    drawn[:, :dimensions] = np.random.default_rng(seed).normal(scale=model.scale, size=(count, dimensions))
    return drawn


async def test_false_links_keep_the_budget(install: MakeInstallation) -> None:
    """1000 submissions of distinct faces. A submission may be linked to a stranger with a chance of 1 %."""
    installation = await install(abuse__hash_keys=HASH_KEYS)
    settings = installation.settings
    policy = settings.policy()
    assert policy.abuse.face_reuse.false_links == BUDGET
    spec, _ = describe(TemplateSource(manifest=None, cache=cache_folder()))
    assert spec.impostors is not None
    calls = connect(settings.redis)
    reuse = open_reuse(settings, policy, calls, open_ledger(settings, policy, calls), face_keys(settings, policy))
    assert reuse is not None
    assert await reuse.prepare()
    (key,) = settings.abuse.hash_keys
    keys = TemplateProtection([HashKey(id=key.id, secret=key.secret.get_secret_value().encode())], reach_ms=1)
    linked, expected = 0, 0.0
    begin_ms = time.time_ns() // 1_000_000 - STRANGERS * 60_000  # what is long past is kept no longer
    for number, vector in enumerate(strangers(spec.impostors, STRANGERS, seed=5)):
        at_ms = begin_ms + number * 60_000
        own = SubmissionRef(at_ms=at_ms, submission_id=f"sub-{number}", correlation_id=str(uuid.UUID(int=number)))
        face = keys.transform(None, model_id(spec.name, spec.space_sha256), vector.tobytes(), at_ms)
        met = await reuse.find_candidates(None, own, ReuseReferences(face=face))
        links = [link for link in met.cluster.links if link.kind is LinkKind.FACE and own in link.refs]
        linked += bool(links)
        expected += reuse.faces.bounds.of(number, BUDGET).expected if reuse.faces else 0.0
    await calls.close()
    print(f"{linked} of {STRANGERS} submissions linked to a stranger, {expected:.1f} expected")
    assert expected <= STRANGERS * BUDGET
    # Of a Poisson number with this mean, 1 in 1000 lies outside on either side.
    assert expected - 3.1 * expected**0.5 <= linked <= expected + 3.1 * expected**0.5
