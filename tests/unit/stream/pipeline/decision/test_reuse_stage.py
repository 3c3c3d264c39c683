"""Reuse of faces and pictures in a pipeline of fakes: links, flags, decisions and reviews."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import FacePlan, InMemoryFaceIndex
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.links import LINKS_ADDED, LINKS_KEPT
from abuse.subjects import correlation
from config.policy import Policy
from detectors.contract import PictureHashes, Template
from detectors.template.impostors import TemplateDistance
from stream.events.message.messages import Output
from stream.events.wire.detection_codec import decode_detection
from stream.runtime import metrics
from tests.unit.abuse.builders import at_ms
from tests.unit.stream.builders import OTHER_IMAGE, analysis, base64_of
from tests.unit.stream.fakes import IMPOSTORS, MODEL, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, FLAG_SCHEMA, violations
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import APPENDED_AT_MS, abuse_of, code_of, event_of, of_kind, sent
from tests.unit.stream.review.command_cases import Reviewer
from tests.unit.stream.review.command_cases import sent as command


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def pipeline_of(**policy) -> Pipeline:
    return Pipeline(policy=Policy.model_validate({"abuse": policy}) if policy else None)


def flagged(pipeline: Pipeline, kind: str = "face_reuse") -> dict[str, str]:
    """Flag id by correlation id, of the flags published so far."""
    return {event["subject"]["key"]: event["flag_id"] for event in of_kind(pipeline.flags, kind)}


def guids(*numbers: int) -> set[str]:
    return set(map(guid, numbers))


async def submit(
    pipeline: Pipeline, number: int, who: int, seen: Template | None, shot: PictureHashes | None = None, **changes
):
    """Decision on a submission with this template and these image hashes."""
    pipeline.analyser.found = analysis(template=seen, picture=shot)
    fields = {"correlation_id": guid(who), "session_id": f"session-{number}", **changes}
    return await pipeline.decision(sent(number, number, **fields))


async def views(pipeline: Pipeline, count: int, shot: PictureHashes | None = None, **changes) -> list[Output]:
    """Decisions on one face under so many correlation ids, each view a little apart."""
    return [await submit(pipeline, number, number, face(1, 0.01 * number), shot, **changes) for number in range(count)]


async def test_face_under_three_ids_flagged(pipeline):
    *before, output = await views(pipeline, 3)
    assert [abuse_of(each)["flags"] for each in before] == [[], []]
    events = of_kind(pipeline.flags, "face_reuse")
    assert sorted(event["subject"]["key"] for event in events) == [guid(0), guid(1), guid(2)]
    evidence = events[0]["evidence"]
    assert (evidence["used"], evidence["limit"], evidence["window_s"]) == (3, 3, 7 * 86_400)
    assert [each["correlation_id"] for each in evidence["linked"]] == [guid(0), guid(1), guid(2)]
    assert (evidence["counts"]["gallery"], evidence["counts"]["ids"]) == (2, 3)
    assert evidence["counts"]["expected_false_links"] <= 0.01
    assert evidence["counts"]["threshold"] <= 0.6
    assert abuse_of(output)["is_abuse_detected"] is False, "the rule is a shadow"
    assert abuse_of(output)["other_flagged_sessions"] == ["session-1", "session-0"]
    assert [event["enforced"] for event in events] == [False] * 3


async def test_strangers_are_not_linked(pipeline):
    for number in range(40):
        image = base64_of(OTHER_IMAGE + bytes([number]))
        output = await submit(pipeline, number, number, face(number), picture(number), image=image)
        assert abuse_of(output)["links"] == []
    assert pipeline.flags == []


async def test_sessions_with_and_without_id(pipeline):
    """Records of one batch under the same ids are both admitted before either is decided."""
    images = {number: base64_of(OTHER_IMAGE + bytes([number])) for number in (1, 2)}
    for who, image in images.items():
        await submit(pipeline, who, who, None, picture(who), image=image)
    outputs = []
    for session, (number, image) in zip((..., "x"), images.items(), strict=True):
        pipeline.analyser.found = analysis(picture=picture(number))
        outputs += await pipeline.detect(sent(9, 9, correlation_id=guid(9), session_id=session, image=image))
    for output in outputs:
        await pipeline.decide(output)
    assert of_kind(pipeline.flags, "media_replay")


async def attacked(pipeline: Pipeline, number: int, who: int, seen: Template) -> None:
    """Presentation attack with this face, decided as SPOOF."""
    pipeline.analyser.found = analysis(0.1, template=seen)
    await pipeline.decision(sent(number, number, correlation_id=guid(who)))


async def test_bona_fide_victim_not_flagged():
    pipeline = pipeline_of(face_reuse={"enforced": True})
    for number in range(6):
        await attacked(pipeline, number, 100 + number, face(1, 0.01 * number))
    output = await submit(pipeline, 10, 1, face(1))
    assert code_of(output) is None
    assert set(flagged(pipeline)) == guids(*range(100, 106))
    assert {end["spoof"] for link in abuse_of(output)["links"] for end in link["ends"]} == {True, False}
    await attacked(pipeline, 11, 200, face(1))
    assert guid(1) not in flagged(pipeline)


async def test_one_spoof_makes_no_attacker(pipeline):
    await attacked(pipeline, 0, 1, face(1))
    await submit(pipeline, 1, 1, face(1))
    for number in (2, 3):
        await attacked(pipeline, number, 100 + number, face(1))
    assert guid(1) not in flagged(pipeline)


async def test_shared_submission_id_hides_nobody(pipeline):
    """Decisions expire sooner than faces, so one submission id may come with many."""
    for number in range(3):
        pipeline.store._kept.clear()
        await submit(pipeline, number, number, face(1, 0.01 * number), picture(1), submission_id="sub-1")
    assert len(of_kind(pipeline.flags, "face_reuse")) == 3
    assert set(flagged(pipeline, "media_replay")) == guids(0, 1, 2)


@pytest.mark.parametrize("apart", [False, True], ids=["one id", "a tenant each"])
async def test_no_reuse_of_own_face_or_of_other_tenants(pipeline, apart):
    for number in range(9):
        who, tenant = (number, f"bank-{number}") if apart else (1, "bank-1")
        output = await submit(pipeline, number, who, face(1, 0.001 * number), tenant=tenant)
    assert (flagged(pipeline), abuse_of(output)["links"]) == ({}, [])


async def test_switched_off_before_detection(pipeline):
    await pipeline.ledger.switch("bank-1", {"face_reuse": {"active": False}})
    pipeline.analyser.found = analysis(template=face(1), picture=picture(1))
    (output,) = await pipeline.detect(sent(1, tenant="bank-1"))
    references = decode_detection(output.value).references
    assert (references.face, bool(references.picture)) == (None, True)
    await pipeline.decide(output)
    assert pipeline.faces.buckets == {}
    await submit(pipeline, 2, 2, face(1), tenant="bank-2")
    assert len(pipeline.faces.buckets) == 1


async def test_switched_off_after_detection(pipeline):
    pipeline.analyser.found = analysis(template=face(1), picture=picture(1))
    (output,) = await pipeline.detect(sent(1, tenant="bank-1"))
    await pipeline.ledger.switch("bank-1", {rule: {"active": False} for rule in ("face_reuse", "media_replay")})
    assert abuse_of(await pipeline.decide(output))["face_comparison"] is None
    assert (pipeline.faces.buckets, pipeline.reuse.pictures.images) == ({}, {})


async def test_no_plain_template_on_topic(pipeline):
    seen = face(1)
    pipeline.analyser.found = analysis(template=seen, picture=picture(1))
    (output,) = await pipeline.detect(sent(1))
    detection = decode_detection(output.value)
    assert (detection.finding[0].template, detection.finding[0].picture) == (None, None)
    assert detection.references.face is not None
    plain = np.frombuffer(seen.vector, "<f4")
    sent_on = np.frombuffer(detection.references.face.vector, "<f4")
    assert np.isclose(np.linalg.norm(plain), np.linalg.norm(sent_on), rtol=1e-3)
    assert abs(float(plain @ sent_on)) < 0.5 * float(plain @ plain)


OTHER_FILE = base64_of(OTHER_IMAGE)


def other_pixels(flipped: int) -> PictureHashes:
    """Hashes of picture 1 with other pixels, and so many bits of the perceptual hash flipped."""
    return replace(picture(1, flipped), pixels_sha256="ef" * 32)


def kinds_of_links(output: Output) -> set[str]:
    return {link["kind"] for link in abuse_of(output)["links"]}


@pytest.mark.parametrize(
    ("shot", "image", "kind"),
    [
        (picture(1), ..., "same_bytes"),
        (replace(picture(1), perceptual=0), OTHER_FILE, "same_pixels"),
        (other_pixels(7), OTHER_FILE, "near_duplicate"),
    ],
)
async def test_picture_used_again_flagged(pipeline, shot, image, kind):
    await submit(pipeline, 1, 1, face(1), picture(1))
    output = await submit(pipeline, 2, 2, face(1, 0.2), shot, **({} if image is ... else {"image": image}))
    events = of_kind(pipeline.flags, "media_replay")
    assert sorted(event["subject"]["key"] for event in events) == [guid(1), guid(2)]
    (link,) = (link for link in abuse_of(output)["links"] if link["kind"] != "face")
    assert (link["kind"], [end["submission"] for end in link["ends"]]) == (kind, ["sub-1", "sub-2"])
    assert abuse_of(output)["other_flagged_sessions"] == ["session-1"]


@pytest.mark.parametrize(
    ("flipped", "faces", "linked"),
    [
        *((2, (None, None), True), (3, (None, None), False), (3, (face(1), None), False)),
        *((7, (face(1), face(2)), False), (7, (face(1), face(1, 0.4)), False), (7, (face(1), face(1, 0.2)), True)),
    ],
)
async def test_near_duplicate_needs_near_face(pipeline, flipped, faces, linked):
    """Perceptual hashes within seven bits occur by chance among a hundred thousand pictures."""
    await submit(pipeline, 1, 1, faces[0], picture(1))
    output = await submit(pipeline, 2, 2, faces[1], other_pixels(flipped), image=OTHER_FILE)
    assert ("near_duplicate" in kinds_of_links(output)) is linked


@pytest.mark.parametrize(("view", "linked"), [(0.2, True), (0.32, False)])
async def test_near_face_by_cosine(pipeline, view, linked):
    """Nearness is a share of the Euclidean distance, also for a cosine model: another photograph is no copy."""
    by_cosine = FaceBounds(impostors=replace(IMPOSTORS, distance=TemplateDistance.COSINE), farthest=0.18)
    index = InMemoryFaceIndex(FacePlan(distances={MODEL: TemplateDistance.COSINE}))
    pipeline.reuse.faces = replace(pipeline.reuse.faces, index=index, bounds=by_cosine)
    await submit(pipeline, 1, 1, unit(0.0), picture(1))
    output = await submit(pipeline, 2, 2, unit(view), other_pixels(7), image=OTHER_FILE)
    assert ("near_duplicate" in kinds_of_links(output)) is linked


def unit(apart: float) -> Template:
    """Template of a unit vector so far from that of 0.0."""
    angle = 2 * math.asin(apart / 2)
    vector = np.zeros(128, "<f4")
    vector[:2] = math.cos(angle), math.sin(angle)
    return replace(face(1), vector=vector.tobytes())


async def test_same_submission_id_hides_no_copy(pipeline):
    """The second submission under the id shows another photograph, which alone would be no evidence."""
    await submit(pipeline, 1, 1, face(1), picture(1), submission_id="sub-x")
    pipeline.store._kept.clear()
    await submit(pipeline, 2, 2, face(1, 0.45), picture(99), submission_id="sub-x", image=base64_of(OTHER_IMAGE + b"y"))
    output = await submit(pipeline, 3, 3, face(1, 0.1), other_pixels(5), image=OTHER_FILE)
    assert "near_duplicate" in kinds_of_links(output)


async def test_links_are_of_own_submission(pipeline):
    for number in (1, 2):
        await submit(pipeline, number, number, face(1, 0.01 * number), submission_id=f"of-{number}")
    pipeline.store._kept.clear()
    output = await submit(pipeline, 3, 3, face(1, 0.02), submission_id="of-1")
    assert [each["ends"][1]["correlation_id"] for each in abuse_of(output)["links"]] == [guid(3)] * 2


async def test_replay_needs_another_session(pipeline):
    for number in (1, 2):
        await submit(pipeline, number, 1, None, picture(1), session_id="session-1")
    assert not flagged(pipeline, "media_replay")
    await submit(pipeline, 3, 1, None, picture(1), session_id="session-2")
    (event,) = of_kind(pipeline.flags, "media_replay")
    assert event["subject"]["key"] == guid(1)


async def test_repeat_changes_nothing(pipeline):
    async def all_four() -> list[Output]:
        return [await submit(pipeline, n, n, face(1, 0.01 * n), picture(n)) for n in range(4)]

    outputs, store = await all_four(), pipeline.reuse.links
    assert isinstance(store, InMemoryLinkStore)
    before = {name: dict(lines) for name, lines in store.lines.items()}
    assert pipeline.flags
    pipeline.flags.clear()
    assert await all_four() == outputs
    assert (store.lines, pipeline.flags) == (before, [])


async def test_reuse_refuses_nobody_by_default(pipeline):
    outputs = [event_of(output) for output in await views(pipeline, 5, picture(1))]
    assert [output["error"] for output in outputs] == [None] * 5
    assert [violations(output, DECISION_SCHEMA) for output in outputs] == [[]] * 5
    flags = list(map(event_of, pipeline.flags))
    assert {flag["kind"] for flag in flags} >= {"face_reuse", "media_replay"}
    assert [violations(flag, FLAG_SCHEMA) for flag in flags] == [[]] * len(flags)


async def test_enforced_face_reuse_refuses_ids():
    pipeline = pipeline_of(face_reuse={"enforced": True})
    outputs = await views(pipeline, 5)
    assert [code_of(output) for output in outputs] == [None, None, *["SUBJECT_BLOCKED"] * 3]
    refused = event_of(outputs[2])
    assert violations(refused, DECISION_SCHEMA) == []
    assert (refused["result"]["verdict"], refused["result"]["face_detected"]) == ("INCONCLUSIVE", True)
    assert refused["abuse"]["observation"]["finding"] == "live"
    assert [flag["refuses_until"] is not None for flag in refused["abuse"]["flags"]] == [True]
    pipeline.analyser.found = analysis(template=face(9))
    assert code_of(await pipeline.decision(sent(9, 60, correlation_id=guid(0)))) == "SUBJECT_BLOCKED"


async def test_enforced_media_replay_refuses_repeatedly():
    pipeline = pipeline_of(media_replay={"enforced": True})
    await submit(pipeline, 1, 1, None, picture(1))
    assert code_of(await submit(pipeline, 2, 2, None, picture(1))) == "SUBJECT_BLOCKED"
    flags = flagged(pipeline, "media_replay")
    pipeline.store._kept.clear()
    assert code_of(await submit(pipeline, 2, 2, None, picture(1))) == "SUBJECT_BLOCKED"
    assert flagged(pipeline, "media_replay") == flags


async def test_members_not_flagged_next_day(pipeline):
    await three(pipeline)
    pipeline.flags.clear()
    pipeline.analyser.found = analysis(template=face(1, 0.02))
    await pipeline.decision(sent(50, 86_400, correlation_id=guid(0)))
    assert [event["subject"]["key"] for event in of_kind(pipeline.flags, "face_reuse")] == [guid(0)]


async def test_links_are_bounded(pipeline):
    linked = []
    for number in range(90):
        output = await submit(pipeline, number, number, face(1, 0.001 * number))
        linked.append(len(abuse_of(output)["links"]))
    assert (max(linked), linked[-1]) == (LINKS_ADDED, 0), "links into a large cluster are kept nowhere"
    store = pipeline.reuse.links
    assert isinstance(store, InMemoryLinkStore)
    assert max(map(len, store.lines.values())) <= LINKS_KEPT
    evidence = of_kind(pipeline.flags, "face_reuse")[-1]["evidence"]
    assert (evidence["counts"]["whole"], evidence["used"]) == ("no", 48), "as it had last doubled"


async def test_decision_holds_size_of_gallery(pipeline):
    decided = [abuse_of(await submit(pipeline, n, n, face(n))) for n in range(3)]
    assert [each["face_comparison"] for each in decided] == [{"faces": n, "complete": True} for n in range(3)]
    assert abuse_of(await submit(pipeline, 3, 3, None))["face_comparison"] is None


async def test_incomplete_search():
    pipeline, before = pipeline_of(), comparisons()

    class Cut(InMemoryFaceIndex):
        async def search(self, *args, **how):
            return replace(await super().search(*args, **how), complete=False)

    pipeline.reuse.faces = replace(pipeline.reuse.faces, index=Cut())
    *_, output = await views(pipeline, 3)
    assert abuse_of(output)["face_comparison"] == {"faces": 2, "complete": False}
    evidence = of_kind(pipeline.flags, "face_reuse")[0]["evidence"]
    assert (evidence["used"], evidence["counts"]["whole"]) == (3, "no")
    assert comparisons() == (before[0], before[1] + 3)


async def test_search_is_for_the_gallery():
    """With 100,000 faces no farther than their threshold is looked for: that spares most of the search."""
    pipeline, asked = pipeline_of(), []

    class Asked(InMemoryFaceIndex):
        async def search(self, *args, **how):
            asked.append(how["narrowed"](100_000))
            return await super().search(*args, **how)

    pipeline.reuse.faces = faces = replace(pipeline.reuse.faces, index=Asked())
    await views(pipeline, 1)
    assert asked == [faces.bounds.of(100_000, pipeline.reuse.policy.face_reuse.false_links).distance]
    assert asked[0] < faces.bounds.farthest


def comparisons() -> tuple[float, float]:
    counted = metrics.FACE_COMPARISONS.labels
    return counted(outcome="complete")._value.get(), counted(outcome="cut")._value.get()


# --- what reviewers decide


async def three(pipeline: Pipeline) -> dict[str, str]:
    """Flags of one face under three correlation ids."""
    await views(pipeline, 3)
    return flagged(pipeline)


async def decided_on(pipeline: Pipeline, name: str, after_s: float, **fields) -> tuple[list[dict], dict]:
    """Flag events and audit entry of a command, so long after the first submission."""
    given = command(name, at_s=after_s + (APPENDED_AT_MS - at_ms(0)) / 1000, **fields)
    *flags, answer = await Reviewer(ledger=pipeline.ledger, links=pipeline.reuse.links).obey(given)
    return [event_of(flag) for flag in flags], event_of(answer)


async def order(pipeline: Pipeline, name: str, flag_id: str, command_id: str = "c-1") -> tuple[list[dict], dict]:
    """Flag events and audit entry of a command, a minute after the first submission."""
    return await decided_on(pipeline, name, 60, flag_id=flag_id, command_id=command_id)


async def test_confirmed_flag_not_overridden_along(pipeline):
    flags = await three(pipeline)
    await order(pipeline, "flag.confirm", flags[guid(2)])
    events, _ = await order(pipeline, "flag.override", flags[guid(0)], command_id="c-2")
    assert sorted(event["subject"]["key"] for event in events) == [guid(0), guid(1)]


async def test_review_by_subject(pipeline):
    await views(pipeline, 3, picture(1))
    pipeline.analyser.found = analysis(template=face(1, 0.02), picture=picture(1))
    await pipeline.decision(sent(50, 86_400, correlation_id=guid(0), session_id="later"))
    subject = {"type": "correlation_id", "key": guid(0)}
    events, _ = await decided_on(pipeline, "flag.override", 90_000, subject=subject)
    names = [(event["flag_id"], event["state"]) for event in events]
    assert len(names) == len(set(names)) >= 6


async def test_overriding_clears_other_members(pipeline):
    flags = await three(pipeline)
    events, answer = await order(pipeline, "flag.override", flags[guid(1)])
    assert {(event["subject"]["key"], event["state"]) for event in events} == {
        (guid(number), "overridden") for number in range(3)
    }
    assert sorted(each["subject"]["key"] for each in answer["changed"]["linked"]) == [guid(0), guid(2)]
    pipeline.flags.clear()
    for number, who in ((101, 0), (102, 1)):
        output = await submit(pipeline, number, who, face(1, 0.02))
        assert (abuse_of(output)["flags"], abuse_of(output)["is_abuse_detected"]) == ([], False)
    assert not flagged(pipeline)
    await submit(pipeline, 103, 7, face(1, 0.03))
    assert len(of_kind(pipeline.flags, "face_reuse")) == 3, "three ids again, since the reviewer's word"


async def test_new_ids_found_beside_cleared():
    """Cleared references are nearer, and more than a submission may be linked to."""
    pipeline, cleared = pipeline_of(), 3 * LINKS_ADDED
    for number in range(cleared):
        await submit(pipeline, number, number, face(1, 0.001 * number))
    flags = flagged(pipeline)
    await order(pipeline, "flag.override", flags[guid(0)])
    pipeline.flags.clear()
    for number in range(3):
        await submit(pipeline, 100 + number, 100 + number, face(1, 0.3 - 0.1 * number))
    assert set(flagged(pipeline)) == guids(100, 101, 102)


async def test_cleared_id_found_again(pipeline):
    for number in range(3):
        await submit(pipeline, number, number, None, picture(1))
    flags = flagged(pipeline, "media_replay")
    await order(pipeline, "flag.override", flags[guid(0)])
    await submit(pipeline, 100, 0, None, picture(1), session_id="session-0")
    output = await submit(pipeline, 101, 9, None, picture(1))
    assert [each["ends"][0]["submission"] for each in abuse_of(output)["links"]] == ["sub-100"]


async def test_overriding_victim_leaves_ring_flagged(pipeline):
    for number, (who, person) in enumerate([(1, 1), (2, 1), (3, 1), (1, 7), (2, 7)]):
        await submit(pipeline, number, who, face(person, 0.01 * number))
    ring = flagged(pipeline)
    pipeline.flags.clear()
    pipeline.analyser.found = analysis(template=face(7, 0.05))
    await pipeline.decision(sent(30, 86_400, correlation_id=guid(9)))
    victim = flagged(pipeline)
    assert victim.keys() == {guid(9)}, "the others are flagged already"
    events, _ = await decided_on(pipeline, "flag.override", 90_000, flag_id=victim[guid(9)])
    assert {event["flag_id"] for event in events} == set(victim.values())
    assert not set(victim.values()) & set(ring.values())


async def test_overriding_leaves_other_kinds():
    pipeline = pipeline_of(device_velocity={"ids": 3})
    await views(pipeline, 3, picture(1), device_id="phone")
    flags = flagged(pipeline)
    events, _ = await order(pipeline, "flag.override", flags[guid(0)])
    assert {event["kind"] for event in events} == {"face_reuse"}
    known = await pipeline.ledger.read_history(None, [correlation(guid(2))])
    assert {flag.kind: flag.state for flag in known.flags} == {"face_reuse": "overridden", "media_replay": "raised"}
