"""Reuse of faces and pictures in a pipeline of fakes: links, flags, decisions and reviews."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import orjson
import pytest

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import FacePlan, InMemoryFaceIndex
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.links import LINKS_ADDED, LINKS_KEPT
from abuse.subjects import correlation
from config.policy import Policy
from detectors.contract import PictureHashes, Template
from detectors.template.impostors import TemplateDistance
from stream.events.detection_codec import decode_detection
from stream.events.messages import Output
from stream.runtime import metrics
from tests.unit.abuse.builders import at_ms
from tests.unit.stream.builders import OTHER_IMAGE, analysis, base64_of
from tests.unit.stream.fakes import IMPOSTORS, MODEL, FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, FLAG_SCHEMA, violations
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import APPENDED_AT_MS, abuse_of, event_of, of_kind, sent
from tests.unit.stream.review.command_cases import Reviewer
from tests.unit.stream.review.command_cases import sent as command


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def pipeline_of(**policy) -> Pipeline:
    return Pipeline(policy=Policy.model_validate({"abuse": policy}) if policy else None)


@pytest.fixture
def pipeline() -> Pipeline:
    return pipeline_of()


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
    for number, who in enumerate((1, 2)):
        assert abuse_of(await submit(pipeline, number, who, face(1, 0.01 * number)))["flags"] == []
    output = await submit(pipeline, 2, 3, face(1, 0.02))
    events = of_kind(pipeline.flags, "face_reuse")
    assert sorted(event["subject"]["key"] for event in events) == [guid(1), guid(2), guid(3)]
    evidence = events[0]["evidence"]
    assert (evidence["used"], evidence["limit"], evidence["window_s"]) == (3, 3, 7 * 86_400)
    assert [each["correlation_id"] for each in evidence["linked"]] == [guid(1), guid(2), guid(3)]
    assert evidence["counts"]["gallery"] == 2
    assert evidence["counts"]["expected_false_links"] <= 0.01
    assert evidence["counts"]["threshold"] <= 0.6
    assert abuse_of(output)["is_abuse_detected"] is True
    assert abuse_of(output)["other_flagged_sessions"] == ["session-1", "session-0"]
    assert [event["enforced"] for event in events] == [False] * 3


async def test_cluster_names_all_five_ids(pipeline):
    *_, output = await views(pipeline, 5)
    own = [event for event in of_kind(pipeline.flags, "face_reuse") if event["subject"]["key"] == guid(4)]
    assert [each["correlation_id"] for each in own[-1]["evidence"]["linked"]] == [guid(n) for n in range(5)]
    assert own[-1]["evidence"]["counts"]["ids"] == 5
    assert abuse_of(output)["other_flagged_sessions"] == [f"session-{n}" for n in (3, 2, 1, 0)]


async def test_strangers_are_not_linked(pipeline):
    for number in range(40):
        output = await submit(pipeline, number, number, face(number))
        assert abuse_of(output)["links"] == []
    assert not flagged(pipeline)


async def test_chain_of_links_is_cluster(pipeline):
    """First and last view of the face are too far apart for a link; the view between joins them."""
    for number, view in enumerate((0.0, 0.3, 0.6)):
        await submit(pipeline, number, number, face(1, view))
    assert len(of_kind(pipeline.flags, "face_reuse")) == 3
    links = [frozenset(each.ids) for each in (await pipeline.reuse.links.of(None, [guid(1)]))[guid(1)]]
    assert sorted(map(sorted, links)) == [[guid(0), guid(1)], [guid(1), guid(2)]]


async def test_shown_strangers_are_no_cluster(pipeline):
    for number, (who, person) in enumerate(((1, 1), (2, 2), (9, 1), (9, 2))):
        await submit(pipeline, number, who, face(person, 0.01 * number))
    assert not flagged(pipeline)


async def test_sessions_with_and_without_id(pipeline):
    """Records of one batch under the same ids are both admitted before either is decided."""
    for who in (1, 2):
        await submit(pipeline, who, who, None, picture(who), image=base64_of(OTHER_IMAGE + bytes([who])))
    outputs = []
    for session, number in ((..., 1), ("x", 2)):
        pipeline.analyser.found = analysis(picture=picture(number))
        image = base64_of(OTHER_IMAGE + bytes([number]))
        given = sent(9, 9, correlation_id=guid(9), session_id=session, image=image)
        outputs.append((await pipeline.detect(given))[-1])
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
    assert event_of(output)["error"] is None
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


@pytest.mark.parametrize(("model", "key_id"), [("other-1", "k1"), ("net-cdcdcdcdcdcd", "zz")])
async def test_template_of_unknown_model_or_key(pipeline, model, key_id):
    pipeline.analyser.found = analysis(template=face(1))
    (output,) = await pipeline.detect(sent(1))
    document = orjson.loads(output.value)
    document["marks"]["face"] |= {"model": model, "key_id": key_id}
    decided = await pipeline.decide(replace(output, value=orjson.dumps(document)))
    assert abuse_of(decided)["links"] == []
    assert pipeline.faces.buckets == {}


async def test_shared_submission_id_hides_nobody(pipeline):
    """Decisions expire sooner than faces, so one submission id may come with many."""
    for number in range(3):
        pipeline.store._kept.clear()
        await submit(pipeline, number, number, face(1, 0.01 * number), picture(1), submission_id="sub-1")
    assert len(of_kind(pipeline.flags, "face_reuse")) == 3
    assert set(flagged(pipeline, "media_replay")) == guids(0, 1, 2)


async def test_own_face_is_no_reuse(pipeline):
    for number in range(9):
        output = await submit(pipeline, number, 1, face(1, 0.001 * number))
    assert not flagged(pipeline)
    assert abuse_of(output)["links"] == []


async def test_tenants_are_not_joined(pipeline):
    for number in range(4):
        await submit(pipeline, number, number, face(1), tenant=f"bank-{number}")
    assert not flagged(pipeline)


async def test_switched_off_before_detection(pipeline):
    await pipeline.ledger.switch("bank-1", {"face_reuse": {"active": False}})
    pipeline.analyser.found = analysis(template=face(1), picture=picture(1))
    (output,) = await pipeline.detect(sent(1, tenant="bank-1"))
    marks = decode_detection(output.value).marks
    assert marks.face is None
    assert marks.picture
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
    assert detection.marks.face is not None
    plain = np.frombuffer(seen.vector, "<f4")
    sent_on = np.frombuffer(detection.marks.face.vector, "<f4")
    assert np.isclose(np.linalg.norm(plain), np.linalg.norm(sent_on), rtol=1e-3)
    assert abs(float(plain @ sent_on)) < 0.5 * float(plain @ plain)


OTHER_FILE = base64_of(OTHER_IMAGE)


@pytest.mark.parametrize(
    ("again", "kind"),
    [
        ({}, "same_bytes"),
        ({"shot": replace(picture(1), perceptual=0), "image": OTHER_FILE}, "same_pixels"),
        ({"shot": replace(picture(1, 7), pixels_sha256="ef" * 32), "image": OTHER_FILE}, "near_duplicate"),
    ],
)
async def test_picture_used_again_flagged(pipeline, again, kind):
    await submit(pipeline, 1, 1, face(1), picture(1))
    output = await submit(pipeline, 2, 2, face(1, 0.2), **{"shot": picture(1), **again})
    events = of_kind(pipeline.flags, "media_replay")
    assert sorted(event["subject"]["key"] for event in events) == [guid(1), guid(2)]
    (link,) = (link for link in abuse_of(output)["links"] if link["kind"] != "face")
    assert (link["kind"], [end["submission"] for end in link["ends"]]) == (kind, ["sub-1", "sub-2"])
    assert abuse_of(output)["other_flagged_sessions"] == ["session-1"]


@pytest.mark.parametrize(
    ("flipped", "faces", "linked"),
    [
        (2, (None, None), True),
        (3, (None, None), False),
        (3, (face(1), None), False),
        (7, (face(1), face(2)), False),
        (7, (face(1), face(1, 0.4)), False),
        (7, (face(1), face(1, 0.2)), True),
    ],
)
async def test_near_duplicate_needs_near_face(pipeline, flipped, faces, linked):
    """Perceptual hashes within seven bits occur by chance among a hundred thousand pictures."""
    await submit(pipeline, 1, 1, faces[0], picture(1))
    other = replace(picture(1, flipped), pixels_sha256="ef" * 32)
    output = await submit(pipeline, 2, 2, faces[1], other, image=OTHER_FILE)
    assert ("near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}) is linked


@pytest.mark.parametrize(("view", "linked"), [(0.2, True), (0.32, False)])
async def test_near_face_by_cosine(pipeline, view, linked):
    """Nearness is a share of the Euclidean distance, also for a cosine model: another photograph is no copy."""
    by_cosine = FaceBounds(impostors=replace(IMPOSTORS, distance=TemplateDistance.COSINE), farthest=0.18)
    index = InMemoryFaceIndex(FacePlan(distances={MODEL: TemplateDistance.COSINE}))
    pipeline.reuse.faces = replace(pipeline.reuse.faces, index=index, bounds=by_cosine)
    await submit(pipeline, 1, 1, unit(0.0), picture(1))
    other = replace(picture(1, 7), pixels_sha256="ef" * 32)
    output = await submit(pipeline, 2, 2, unit(view), other, image=OTHER_FILE)
    assert ("near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}) is linked


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
    copy = replace(picture(1, 5), pixels_sha256="ef" * 32)
    output = await submit(pipeline, 3, 3, face(1, 0.1), copy, image=OTHER_FILE)
    assert "near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}


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


async def test_other_pictures_are_not_linked(pipeline):
    for number in range(30):
        output = await submit(
            pipeline, number, number, None, picture(number), image=base64_of(OTHER_IMAGE + bytes([number]))
        )
        assert abuse_of(output)["links"] == []


async def test_repeat_changes_nothing(pipeline):
    outputs = [await submit(pipeline, number, number, face(1, 0.01 * number), picture(number)) for number in range(4)]
    store, flags = pipeline.reuse.links, list(pipeline.flags)
    assert isinstance(store, InMemoryLinkStore)
    before = {name: dict(lines) for name, lines in store.lines.items()}
    pipeline.flags.clear()
    assert [
        await submit(pipeline, number, number, face(1, 0.01 * number), picture(number)) for number in range(4)
    ] == outputs
    assert (store.lines, pipeline.flags) == (before, [])
    assert flags


async def test_decisions_and_flags_keep_schemas(pipeline):
    outputs = await views(pipeline, 4, picture(1))
    for output in outputs:
        assert violations(event_of(output), DECISION_SCHEMA) == []
    assert {event_of(flag)["kind"] for flag in pipeline.flags} >= {"face_reuse", "media_replay"}
    for flag in pipeline.flags:
        assert violations(event_of(flag), FLAG_SCHEMA) == []


async def test_enforced_face_reuse_refuses_ids():
    pipeline = pipeline_of(face_reuse={"enforced": True})
    outputs = await views(pipeline, 5)
    codes = [event_of(output)["error"] and event_of(output)["error"]["code"] for output in outputs]
    assert codes == [None, None, "SUBJECT_BLOCKED", "SUBJECT_BLOCKED", "SUBJECT_BLOCKED"]
    refused = event_of(outputs[2])
    assert violations(refused, DECISION_SCHEMA) == []
    assert (refused["result"]["verdict"], refused["result"]["face_detected"]) == ("INCONCLUSIVE", True)
    assert refused["abuse"]["observation"]["finding"] == "live"
    assert [flag["refuses_until"] is not None for flag in refused["abuse"]["flags"]] == [True]
    pipeline.analyser.found = analysis(template=face(9))
    output = await pipeline.decision(sent(9, 60, correlation_id=guid(0)))
    assert event_of(output)["error"]["code"] == "SUBJECT_BLOCKED"
    assert math.isfinite(event_of(output)["result"]["score"])
    assert isinstance(pipeline.analyser, FakeAnalyser)


async def test_enforced_media_replay_refuses_repeatedly():
    pipeline = pipeline_of(media_replay={"enforced": True})
    await submit(pipeline, 1, 1, None, picture(1))
    replayed = await submit(pipeline, 2, 2, None, picture(1))
    assert event_of(replayed)["error"]["code"] == "SUBJECT_BLOCKED"
    pipeline.store._kept.clear()
    flags = list(pipeline.flags)
    again = event_of(await submit(pipeline, 2, 2, None, picture(1)))
    assert again["error"]["code"] == "SUBJECT_BLOCKED"
    assert {event_of(flag)["flag_id"] for flag in pipeline.flags} == {event_of(flag)["flag_id"] for flag in flags}


async def test_reuse_refuses_nobody_by_default(pipeline):
    outputs = await views(pipeline, 5, picture(1))
    assert [event_of(output)["error"] for output in outputs] == [None] * 5


async def test_members_not_flagged_next_day(pipeline):
    await three(pipeline)
    pipeline.flags.clear()
    pipeline.analyser.found = analysis(template=face(1, 0.02))
    await pipeline.decision(sent(50, 86_400, correlation_id=guid(0)))
    assert [event["subject"]["key"] for event in of_kind(pipeline.flags, "face_reuse")] == [guid(0)]


async def test_links_are_bounded(pipeline):
    for number in range(90):
        output = await submit(pipeline, number, number, face(1, 0.001 * number))
    assert len(abuse_of(output)["links"]) == LINKS_ADDED
    store = pipeline.reuse.links
    assert isinstance(store, InMemoryLinkStore)
    assert max(map(len, store.lines.values())) <= LINKS_KEPT
    evidence = of_kind(pipeline.flags, "face_reuse")[-1]["evidence"]
    assert (evidence["counts"]["whole"], len(evidence["linked"])) == ("no", 20)
    assert evidence["used"] >= 60


async def test_decision_holds_size_of_gallery(pipeline):
    decided = [abuse_of(await submit(pipeline, n, n, face(n))) for n in range(3)]
    assert [each["face_comparison"] for each in decided] == [{"faces": n, "complete": True} for n in range(3)]
    assert abuse_of(await submit(pipeline, 3, 3, None))["face_comparison"] is None


async def test_incomplete_search():
    pipeline, before = pipeline_of(), comparisons()

    class Cut(InMemoryFaceIndex):
        async def search(self, reference, within):
            return replace(await super().search(reference, within), complete=False)

    pipeline.reuse.faces = replace(pipeline.reuse.faces, index=Cut())
    *_, output = await views(pipeline, 3)
    assert abuse_of(output)["face_comparison"] == {"faces": 2, "complete": False}
    evidence = of_kind(pipeline.flags, "face_reuse")[0]["evidence"]
    assert (evidence["used"], evidence["counts"]["whole"]) == (3, "no")
    assert comparisons() == (before[0], before[1] + 3)


def comparisons() -> tuple[float, float]:
    counted = metrics.FACE_COMPARISONS.labels
    return counted(outcome="complete")._value.get(), counted(outcome="cut")._value.get()


# --- what reviewers decide


def reviewer_of(pipeline: Pipeline) -> Reviewer:
    return Reviewer(ledger=pipeline.ledger, links=pipeline.reuse.links)


async def three(pipeline: Pipeline) -> dict[str, str]:
    """Flags of one face under three correlation ids."""
    await views(pipeline, 3)
    return flagged(pipeline)


async def order(pipeline: Pipeline, name: str, flag_id: str, command_id: str = "c-1") -> tuple[list[dict], dict]:
    """Flag events and audit entry of a command, a minute after the first submission."""
    at_s = (APPENDED_AT_MS - at_ms(-60)) / 1000
    *flags, answer = await reviewer_of(pipeline).obey(command(name, flag_id=flag_id, command_id=command_id, at_s=at_s))
    return [event_of(flag) for flag in flags], event_of(answer)


async def test_confirming_rescores_other_members(pipeline):
    flags = await three(pipeline)
    events, answer = await order(pipeline, "flag.confirm", flags[guid(0)])
    changes = {event["subject"]["key"]: (event["state"], event["severity"], event["enforced"]) for event in events}
    assert changes == {
        guid(0): ("confirmed", "medium", True),
        guid(1): ("escalated", "high", False),
        guid(2): ("escalated", "high", False),
    }
    assert {event["evidence"]["counts"].get("confirmed") for event in events} == {None, guid(0)}
    assert sorted(each["subject"]["key"] for each in answer["changed"]["rescored"]) == [guid(1), guid(2)]
    for event in events:
        assert violations(event, FLAG_SCHEMA) == []


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
    given = command("flag.override", subject=subject, at_s=90_000 + (APPENDED_AT_MS - at_ms(0)) / 1000)
    *flags, _ = await reviewer_of(pipeline).obey(given)
    names = [(event_of(flag)["flag_id"], event_of(flag)["state"]) for flag in flags]
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
    given = command("flag.override", flag_id=victim[guid(9)], at_s=90_000 + (APPENDED_AT_MS - at_ms(0)) / 1000)
    *events, _ = await reviewer_of(pipeline).obey(given)
    assert {event_of(event)["flag_id"] for event in events} == set(victim.values())
    assert not set(victim.values()) & set(ring.values())


async def test_overriding_leaves_other_kinds():
    pipeline = pipeline_of(device_velocity={"ids": 3})
    await views(pipeline, 3, picture(1), device_id="phone")
    flags = flagged(pipeline)
    events, _ = await order(pipeline, "flag.override", flags[guid(0)])
    assert {event["kind"] for event in events} == {"face_reuse"}
    known = await pipeline.ledger.read_history(None, [correlation(guid(2))])
    assert {flag.kind: flag.state for flag in known.flags} == {"face_reuse": "overridden", "media_replay": "raised"}
