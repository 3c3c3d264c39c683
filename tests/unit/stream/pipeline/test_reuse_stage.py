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


def line_of(**policy) -> Pipeline:
    return Pipeline(policy=Policy.model_validate({"abuse": policy}) if policy else None)


@pytest.fixture
def line() -> Pipeline:
    return line_of()


def flagged(line: Pipeline, kind: str = "face_reuse") -> dict[str, str]:
    """Flag id by correlation id, of the flags published so far."""
    return {event["subject"]["key"]: event["flag_id"] for event in of_kind(line.flags, kind)}


def guids(*numbers: int) -> set[str]:
    return set(map(guid, numbers))


async def submit(
    line: Pipeline, number: int, who: int, seen: Template | None, shot: PictureHashes | None = None, **changes
):
    """Decision on a submission with this template and these image hashes."""
    line.analyser.found = analysis(template=seen, picture=shot)
    fields = {"correlation_id": guid(who), "session_id": f"session-{number}", **changes}
    return await line.decision(sent(number, number, **fields))


async def views(line: Pipeline, count: int, shot: PictureHashes | None = None, **changes) -> list[Output]:
    """Decisions on one face under so many correlation ids, each view a little apart."""
    return [await submit(line, number, number, face(1, 0.01 * number), shot, **changes) for number in range(count)]


async def test_face_under_three_ids_flagged(line):
    for number, who in enumerate((1, 2)):
        assert abuse_of(await submit(line, number, who, face(1, 0.01 * number)))["flags"] == []
    output = await submit(line, 2, 3, face(1, 0.02))
    events = of_kind(line.flags, "face_reuse")
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


async def test_cluster_names_all_five_ids(line):
    *_, output = await views(line, 5)
    own = [event for event in of_kind(line.flags, "face_reuse") if event["subject"]["key"] == guid(4)]
    assert [each["correlation_id"] for each in own[-1]["evidence"]["linked"]] == [guid(n) for n in range(5)]
    assert own[-1]["evidence"]["counts"]["ids"] == 5
    assert abuse_of(output)["other_flagged_sessions"] == [f"session-{n}" for n in (3, 2, 1, 0)]


async def test_strangers_are_not_linked(line):
    for number in range(40):
        output = await submit(line, number, number, face(number))
        assert abuse_of(output)["links"] == []
    assert not flagged(line)


async def test_chain_of_links_is_cluster(line):
    """First and last view of the face are too far apart for a link; the view between joins them."""
    for number, view in enumerate((0.0, 0.3, 0.6)):
        await submit(line, number, number, face(1, view))
    assert len(of_kind(line.flags, "face_reuse")) == 3
    links = [frozenset(each.ids) for each in (await line.reuse.links.of(None, [guid(1)]))[guid(1)]]
    assert sorted(map(sorted, links)) == [[guid(0), guid(1)], [guid(1), guid(2)]]


async def test_shown_strangers_are_no_cluster(line):
    for number, (who, person) in enumerate(((1, 1), (2, 2), (9, 1), (9, 2))):
        await submit(line, number, who, face(person, 0.01 * number))
    assert not flagged(line)


async def test_sessions_with_and_without_id(line):
    """Records of one batch under the same ids are both admitted before either is decided."""
    for who in (1, 2):
        await submit(line, who, who, None, picture(who), image=base64_of(OTHER_IMAGE + bytes([who])))
    outputs = []
    for session, number in ((..., 1), ("x", 2)):
        line.analyser.found = analysis(picture=picture(number))
        image = base64_of(OTHER_IMAGE + bytes([number]))
        given = sent(9, 9, correlation_id=guid(9), session_id=session, image=image)
        outputs.append((await line.detect(given))[-1])
    for output in outputs:
        await line.decide(output)
    assert of_kind(line.flags, "media_replay")


async def attacked(line: Pipeline, number: int, who: int, seen: Template) -> None:
    """Presentation attack with this face, decided as SPOOF."""
    line.analyser.found = analysis(0.1, template=seen)
    await line.decision(sent(number, number, correlation_id=guid(who)))


async def test_bona_fide_victim_not_flagged():
    line = line_of(face_reuse={"enforced": True})
    for number in range(6):
        await attacked(line, number, 100 + number, face(1, 0.01 * number))
    output = await submit(line, 10, 1, face(1))
    assert event_of(output)["error"] is None
    assert set(flagged(line)) == guids(*range(100, 106))
    assert {end["spoof"] for link in abuse_of(output)["links"] for end in link["ends"]} == {True, False}
    await attacked(line, 11, 200, face(1))
    assert guid(1) not in flagged(line)


async def test_one_spoof_makes_no_attacker(line):
    await attacked(line, 0, 1, face(1))
    await submit(line, 1, 1, face(1))
    for number in (2, 3):
        await attacked(line, number, 100 + number, face(1))
    assert guid(1) not in flagged(line)


@pytest.mark.parametrize(("model", "key_id"), [("other-1", "k1"), ("net-cdcdcdcdcdcd", "zz")])
async def test_template_of_unknown_model_or_key(line, model, key_id):
    line.analyser.found = analysis(template=face(1))
    (output,) = await line.detect(sent(1))
    document = orjson.loads(output.value)
    document["marks"]["face"] |= {"model": model, "key_id": key_id}
    decided = await line.decide(replace(output, value=orjson.dumps(document)))
    assert abuse_of(decided)["links"] == []
    assert line.faces.buckets == {}


async def test_shared_submission_id_hides_nobody(line):
    """Decisions expire sooner than faces, so one submission id may come with many."""
    for number in range(3):
        line.store._kept.clear()
        await submit(line, number, number, face(1, 0.01 * number), picture(1), submission_id="sub-1")
    assert len(of_kind(line.flags, "face_reuse")) == 3
    assert set(flagged(line, "media_replay")) == guids(0, 1, 2)


async def test_own_face_is_no_reuse(line):
    for number in range(9):
        output = await submit(line, number, 1, face(1, 0.001 * number))
    assert not flagged(line)
    assert abuse_of(output)["links"] == []


async def test_tenants_are_not_joined(line):
    for number in range(4):
        await submit(line, number, number, face(1), tenant=f"bank-{number}")
    assert not flagged(line)


async def test_switched_off_before_detection(line):
    await line.ledger.switch("bank-1", {"face_reuse": {"active": False}})
    line.analyser.found = analysis(template=face(1), picture=picture(1))
    (output,) = await line.detect(sent(1, tenant="bank-1"))
    marks = decode_detection(output.value).marks
    assert marks.face is None
    assert marks.picture
    await line.decide(output)
    assert line.faces.buckets == {}
    await submit(line, 2, 2, face(1), tenant="bank-2")
    assert len(line.faces.buckets) == 1


async def test_switched_off_after_detection(line):
    line.analyser.found = analysis(template=face(1), picture=picture(1))
    (output,) = await line.detect(sent(1, tenant="bank-1"))
    await line.ledger.switch("bank-1", {rule: {"active": False} for rule in ("face_reuse", "media_replay")})
    assert abuse_of(await line.decide(output))["face_comparison"] is None
    assert (line.faces.buckets, line.reuse.pictures.images) == ({}, {})


async def test_no_plain_template_on_topic(line):
    seen = face(1)
    line.analyser.found = analysis(template=seen, picture=picture(1))
    (output,) = await line.detect(sent(1))
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
async def test_picture_used_again_flagged(line, again, kind):
    await submit(line, 1, 1, face(1), picture(1))
    output = await submit(line, 2, 2, face(1, 0.2), **{"shot": picture(1), **again})
    events = of_kind(line.flags, "media_replay")
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
async def test_near_duplicate_needs_near_face(line, flipped, faces, linked):
    """Perceptual hashes within seven bits occur by chance among a hundred thousand pictures."""
    await submit(line, 1, 1, faces[0], picture(1))
    other = replace(picture(1, flipped), pixels_sha256="ef" * 32)
    output = await submit(line, 2, 2, faces[1], other, image=OTHER_FILE)
    assert ("near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}) is linked


@pytest.mark.parametrize(("view", "linked"), [(0.2, True), (0.32, False)])
async def test_near_face_by_cosine(line, view, linked):
    """Nearness is a share of the Euclidean distance, also for a cosine model: another photograph is no copy."""
    by_cosine = FaceBounds(impostors=replace(IMPOSTORS, distance=TemplateDistance.COSINE), farthest=0.18)
    index = InMemoryFaceIndex(FacePlan(distances={MODEL: TemplateDistance.COSINE}))
    line.reuse.faces = replace(line.reuse.faces, index=index, bounds=by_cosine)
    await submit(line, 1, 1, unit(0.0), picture(1))
    other = replace(picture(1, 7), pixels_sha256="ef" * 32)
    output = await submit(line, 2, 2, unit(view), other, image=OTHER_FILE)
    assert ("near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}) is linked


def unit(apart: float) -> Template:
    """Template of a unit vector so far from that of 0.0."""
    angle = 2 * math.asin(apart / 2)
    vector = np.zeros(128, "<f4")
    vector[:2] = math.cos(angle), math.sin(angle)
    return replace(face(1), vector=vector.tobytes())


async def test_same_submission_id_hides_no_copy(line):
    """The second submission under the id shows another photograph, which alone would be no evidence."""
    await submit(line, 1, 1, face(1), picture(1), submission_id="sub-x")
    line.store._kept.clear()
    await submit(line, 2, 2, face(1, 0.45), picture(99), submission_id="sub-x", image=base64_of(OTHER_IMAGE + b"y"))
    copy = replace(picture(1, 5), pixels_sha256="ef" * 32)
    output = await submit(line, 3, 3, face(1, 0.1), copy, image=OTHER_FILE)
    assert "near_duplicate" in {link["kind"] for link in abuse_of(output)["links"]}


async def test_links_are_of_own_submission(line):
    for number in (1, 2):
        await submit(line, number, number, face(1, 0.01 * number), submission_id=f"of-{number}")
    line.store._kept.clear()
    output = await submit(line, 3, 3, face(1, 0.02), submission_id="of-1")
    assert [each["ends"][1]["correlation_id"] for each in abuse_of(output)["links"]] == [guid(3)] * 2


async def test_replay_needs_another_session(line):
    for number in (1, 2):
        await submit(line, number, 1, None, picture(1), session_id="session-1")
    assert not flagged(line, "media_replay")
    await submit(line, 3, 1, None, picture(1), session_id="session-2")
    (event,) = of_kind(line.flags, "media_replay")
    assert event["subject"]["key"] == guid(1)


async def test_other_pictures_are_not_linked(line):
    for number in range(30):
        output = await submit(
            line, number, number, None, picture(number), image=base64_of(OTHER_IMAGE + bytes([number]))
        )
        assert abuse_of(output)["links"] == []


async def test_repeat_changes_nothing(line):
    outputs = [await submit(line, number, number, face(1, 0.01 * number), picture(number)) for number in range(4)]
    store, flags = line.reuse.links, list(line.flags)
    assert isinstance(store, InMemoryLinkStore)
    before = {name: dict(lines) for name, lines in store.lines.items()}
    line.flags.clear()
    assert [
        await submit(line, number, number, face(1, 0.01 * number), picture(number)) for number in range(4)
    ] == outputs
    assert (store.lines, line.flags) == (before, [])
    assert flags


async def test_decisions_and_flags_keep_schemas(line):
    outputs = await views(line, 4, picture(1))
    for output in outputs:
        assert violations(event_of(output), DECISION_SCHEMA) == []
    assert {event_of(flag)["kind"] for flag in line.flags} >= {"face_reuse", "media_replay"}
    for flag in line.flags:
        assert violations(event_of(flag), FLAG_SCHEMA) == []


async def test_enforced_face_reuse_refuses_ids():
    line = line_of(face_reuse={"enforced": True})
    outputs = await views(line, 5)
    codes = [event_of(output)["error"] and event_of(output)["error"]["code"] for output in outputs]
    assert codes == [None, None, "SUBJECT_BLOCKED", "SUBJECT_BLOCKED", "SUBJECT_BLOCKED"]
    refused = event_of(outputs[2])
    assert violations(refused, DECISION_SCHEMA) == []
    assert (refused["result"]["verdict"], refused["result"]["face_detected"]) == ("INCONCLUSIVE", True)
    assert refused["abuse"]["observation"]["finding"] == "live"
    assert [flag["refuses_until"] is not None for flag in refused["abuse"]["flags"]] == [True]
    line.analyser.found = analysis(template=face(9))
    output = await line.decision(sent(9, 60, correlation_id=guid(0)))
    assert event_of(output)["error"]["code"] == "SUBJECT_BLOCKED"
    assert math.isfinite(event_of(output)["result"]["score"])
    assert isinstance(line.analyser, FakeAnalyser)


async def test_enforced_media_replay_refuses_repeatedly():
    line = line_of(media_replay={"enforced": True})
    await submit(line, 1, 1, None, picture(1))
    replayed = await submit(line, 2, 2, None, picture(1))
    assert event_of(replayed)["error"]["code"] == "SUBJECT_BLOCKED"
    line.store._kept.clear()
    flags = list(line.flags)
    again = event_of(await submit(line, 2, 2, None, picture(1)))
    assert again["error"]["code"] == "SUBJECT_BLOCKED"
    assert {event_of(flag)["flag_id"] for flag in line.flags} == {event_of(flag)["flag_id"] for flag in flags}


async def test_reuse_refuses_nobody_by_default(line):
    outputs = await views(line, 5, picture(1))
    assert [event_of(output)["error"] for output in outputs] == [None] * 5


async def test_members_not_flagged_next_day(line):
    await three(line)
    line.flags.clear()
    line.analyser.found = analysis(template=face(1, 0.02))
    await line.decision(sent(50, 86_400, correlation_id=guid(0)))
    assert [event["subject"]["key"] for event in of_kind(line.flags, "face_reuse")] == [guid(0)]


async def test_links_are_bounded(line):
    for number in range(90):
        output = await submit(line, number, number, face(1, 0.001 * number))
    assert len(abuse_of(output)["links"]) == LINKS_ADDED
    store = line.reuse.links
    assert isinstance(store, InMemoryLinkStore)
    assert max(map(len, store.lines.values())) <= LINKS_KEPT
    evidence = of_kind(line.flags, "face_reuse")[-1]["evidence"]
    assert (evidence["counts"]["whole"], len(evidence["linked"])) == ("no", 20)
    assert evidence["used"] >= 60


async def test_decision_holds_size_of_gallery(line):
    decided = [abuse_of(await submit(line, n, n, face(n))) for n in range(3)]
    assert [each["face_comparison"] for each in decided] == [{"faces": n, "complete": True} for n in range(3)]
    assert abuse_of(await submit(line, 3, 3, None))["face_comparison"] is None


async def test_incomplete_search():
    line, before = line_of(), comparisons()

    class Cut(InMemoryFaceIndex):
        async def search(self, reference, within):
            return replace(await super().search(reference, within), complete=False)

    line.reuse.faces = replace(line.reuse.faces, index=Cut())
    *_, output = await views(line, 3)
    assert abuse_of(output)["face_comparison"] == {"faces": 2, "complete": False}
    evidence = of_kind(line.flags, "face_reuse")[0]["evidence"]
    assert (evidence["used"], evidence["counts"]["whole"]) == (3, "no")
    assert comparisons() == (before[0], before[1] + 3)


def comparisons() -> tuple[float, float]:
    counted = metrics.FACE_COMPARISONS.labels
    return counted(outcome="complete")._value.get(), counted(outcome="cut")._value.get()


# --- what reviewers decide


def reviewer_of(line: Pipeline) -> Reviewer:
    return Reviewer(ledger=line.ledger, links=line.reuse.links)


async def three(line: Pipeline) -> dict[str, str]:
    """Flags of one face under three correlation ids."""
    await views(line, 3)
    return flagged(line)


async def order(line: Pipeline, name: str, flag_id: str, command_id: str = "c-1") -> tuple[list[dict], dict]:
    """Flag events and audit entry of a command, a minute after the first submission."""
    at_s = (APPENDED_AT_MS - at_ms(-60)) / 1000
    *flags, answer = await reviewer_of(line).obey(command(name, flag_id=flag_id, command_id=command_id, at_s=at_s))
    return [event_of(flag) for flag in flags], event_of(answer)


async def test_confirming_rescores_other_members(line):
    flags = await three(line)
    events, answer = await order(line, "flag.confirm", flags[guid(0)])
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


async def test_confirmed_flag_not_overridden_along(line):
    flags = await three(line)
    await order(line, "flag.confirm", flags[guid(2)])
    events, _ = await order(line, "flag.override", flags[guid(0)], command_id="c-2")
    assert sorted(event["subject"]["key"] for event in events) == [guid(0), guid(1)]


async def test_review_by_subject(line):
    await views(line, 3, picture(1))
    line.analyser.found = analysis(template=face(1, 0.02), picture=picture(1))
    await line.decision(sent(50, 86_400, correlation_id=guid(0), session_id="later"))
    subject = {"type": "correlation_id", "key": guid(0)}
    given = command("flag.override", subject=subject, at_s=90_000 + (APPENDED_AT_MS - at_ms(0)) / 1000)
    *flags, _ = await reviewer_of(line).obey(given)
    names = [(event_of(flag)["flag_id"], event_of(flag)["state"]) for flag in flags]
    assert len(names) == len(set(names)) >= 6


async def test_overriding_clears_other_members(line):
    flags = await three(line)
    events, answer = await order(line, "flag.override", flags[guid(1)])
    assert {(event["subject"]["key"], event["state"]) for event in events} == {
        (guid(number), "overridden") for number in range(3)
    }
    assert sorted(each["subject"]["key"] for each in answer["changed"]["linked"]) == [guid(0), guid(2)]
    line.flags.clear()
    for number, who in ((101, 0), (102, 1)):
        output = await submit(line, number, who, face(1, 0.02))
        assert (abuse_of(output)["flags"], abuse_of(output)["is_abuse_detected"]) == ([], False)
    assert not flagged(line)
    await submit(line, 103, 7, face(1, 0.03))
    assert len(of_kind(line.flags, "face_reuse")) == 3, "three ids again, since the reviewer's word"


async def test_new_ids_found_beside_cleared():
    """Cleared references are nearer, and more than a submission may be linked to."""
    line, cleared = line_of(), 3 * LINKS_ADDED
    for number in range(cleared):
        await submit(line, number, number, face(1, 0.001 * number))
    flags = flagged(line)
    await order(line, "flag.override", flags[guid(0)])
    line.flags.clear()
    for number in range(3):
        await submit(line, 100 + number, 100 + number, face(1, 0.3 - 0.1 * number))
    assert set(flagged(line)) == guids(100, 101, 102)


async def test_cleared_id_found_again(line):
    for number in range(3):
        await submit(line, number, number, None, picture(1))
    flags = flagged(line, "media_replay")
    await order(line, "flag.override", flags[guid(0)])
    await submit(line, 100, 0, None, picture(1), session_id="session-0")
    output = await submit(line, 101, 9, None, picture(1))
    assert [each["ends"][0]["submission"] for each in abuse_of(output)["links"]] == ["sub-100"]


async def test_overriding_victim_leaves_ring_flagged(line):
    for number, (who, person) in enumerate([(1, 1), (2, 1), (3, 1), (1, 7), (2, 7)]):
        await submit(line, number, who, face(person, 0.01 * number))
    ring = flagged(line)
    line.flags.clear()
    line.analyser.found = analysis(template=face(7, 0.05))
    await line.decision(sent(30, 86_400, correlation_id=guid(9)))
    victim = flagged(line)
    assert victim.keys() == {guid(9)}, "the others are flagged already"
    given = command("flag.override", flag_id=victim[guid(9)], at_s=90_000 + (APPENDED_AT_MS - at_ms(0)) / 1000)
    *events, _ = await reviewer_of(line).obey(given)
    assert {event_of(event)["flag_id"] for event in events} == set(victim.values())
    assert not set(victim.values()) & set(ring.values())


async def test_overriding_leaves_other_kinds():
    line = line_of(device_velocity={"ids": 3})
    await views(line, 3, picture(1), device_id="phone")
    flags = flagged(line)
    events, _ = await order(line, "flag.override", flags[guid(0)])
    assert {event["kind"] for event in events} == {"face_reuse"}
    known = await line.ledger.read_history(None, [correlation(guid(2))])
    assert {flag.kind: flag.state for flag in known.flags} == {"face_reuse": "overridden", "media_replay": "raised"}
