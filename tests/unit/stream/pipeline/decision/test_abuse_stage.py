"""Abuse stage in a pipeline of fakes: gate, observations, publishing of flag events, privacy and schemas."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from abuse.flags.flag_events import Review, confirmed, expired, overridden
from abuse.flags.flags import Flag
from abuse.ledger.journal import KEPT
from abuse.ledger.ledger import InMemoryLedger
from abuse.observation import Finding
from abuse.observation_codec import from_decision
from abuse.subjects import SubjectType, correlation
from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from stream.events.message.messages import Refusal
from stream.pipeline.decision.abuse_stage import is_about, observe
from stream.pipeline.decision_store import InMemoryDecisionStore
from stream.pipeline.verdict.verdict import judge
from tests.unit.stream.builders import OTHER_GUID, OTHER_IMAGE, analysis, base64_of, detection, ids, reading
from tests.unit.stream.fakes import FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, FLAG_SCHEMA, changed, violations
from tests.unit.stream.pipeline.abuse_cases import (
    ADDRESS,
    APPENDED_AT_MS,
    BLATANT,
    DEVICE,
    EVERYTHING,
    GUID,
    LIVE,
    OTHER_ADDRESS,
    PRIVATE,
    SPOOF,
    abuse_of,
    attacked,
    code_of,
    event_of,
    fifth_failure,
    five_failures,
    of_kind,
    sent,
)

POLICY = Policy()


async def flag_of(pipeline: Pipeline) -> Flag:
    """The one flag on the correlation id."""
    (flag,) = (await pipeline.ledger.read_history(None, [correlation(GUID)])).flags
    return flag


def policy_of(**rules: dict[str, Any]) -> Policy:
    return Policy.model_validate({"abuse": rules})


def word(at_ms, command_id="cmd-1"):
    return Review(command_id=command_id, actor="ada", reason="checked", note="", at_ms=at_ms)


@pytest.mark.parametrize(
    ("at_s", "left"), [(-170, None), (4, None), (4.001, 30), (5, 30), (64, 29), (64.001, 29), (1803.999, 1)]
)
async def test_pause_with_minutes_left(paused, at_s, left):
    """Submissions under way when the pause began are refused too; minutes are rounded up."""
    paused.analyser.pictures.clear()
    output = await paused.decision(sent(6, at_s))
    assert (code_of(output), paused.analyser.pictures) == (ErrorCode.SUBJECT_PAUSED, [])
    event = event_of(output)
    assert event["error"]["message"].endswith("min left, until 2023-11-14T22:43:24.000Z")
    assert left is None or f"; {left} min left" in event["error"]["message"]
    assert (event["result"]["verdict"], event["result"]["score"]) == ("INCONCLUSIVE", 0)


@pytest.mark.parametrize(
    ("at_s", "who"),
    [(1804, {}), (5, {"correlation_id": OTHER_GUID}), (5, {"tenant": "bank-1"})],
    ids=["over", "another id", "another tenant"],
)
async def test_pause_holds_for_nobody_else(paused, at_s, who):
    assert code_of(await paused.decision(sent(6, at_s, **who))) is None


async def test_third_pause_is_block(spoofing):
    for number in range(3):
        await five_failures(spoofing, first=10 * number, at_s=1804 * number + number)
    output = await spoofing.decision(sent(99, 6 * 3600))
    assert code_of(output) == ErrorCode.SUBJECT_BLOCKED
    message = event_of(output)["error"]["message"]
    assert "until 2023-11-21T23:" in message
    assert message.endswith("unless a reviewer decides before")


async def test_refusal_names_flags(paused):
    before = {shard: set(lines) for shard, lines in paused.ledger.journals.items()}
    abuse = abuse_of(await paused.decision(sent(6, 5)))
    assert (paused.ledger.journals, len(paused.flags)) == (before, 1)
    (flag,) = abuse["flags"]
    event = event_of(paused.flags[0])
    named = ("flag_id", "kind", "subject", "state", "severity", "enforced")
    assert flag == {name: event[name] for name in named} | {"refuses_until": "2023-11-14T22:43:24.000Z"}
    assert (flag["kind"], flag["subject"]["key"], flag["enforced"]) == ("excessive_retries", GUID, True)
    assert (abuse["is_abuse_detected"], abuse["observation"], abuse["ip_risk"]) == (True, None, None)


async def test_shadow_flag_refuses_nobody():
    pipeline = attacked(policy=policy_of(excessive_retries={"enforced": False}))
    await five_failures(pipeline)
    output = await pipeline.decision(sent(6, 5))
    assert code_of(output) is None
    assert len(pipeline.analyser.pictures) == 6
    (flag,) = abuse_of(output)["flags"]
    assert (flag["enforced"], flag["refuses_until"]) == (False, None)
    event = event_of(pipeline.flags[0])
    assert (event["enforced"], event["refusal"]["until"]) == (False, "2023-11-14T22:43:24.000Z")


async def test_duplicates_during_pause(spoofing):
    decisions = await five_failures(spoofing)
    assert await spoofing.decision(sent(1, 5)) == decisions[0]
    other = await spoofing.decision(sent(2, 6, image=base64_of(OTHER_IMAGE)))
    assert code_of(other) == ErrorCode.DUPLICATE_MISMATCH


OBSERVED = {
    "live": (LIVE, Finding.LIVE),
    "spoof": (SPOOF, Finding.SPOOF),
    "inconclusive": (analysis(0.58), Finding.INCONCLUSIVE),
    "not measured": (analysis({}), Finding.UNANALYSED),
    "no face": (analysis({}, error=ErrorCode.NO_FACE_DETECTED, message="none"), Finding.UNANALYSED),
    "timed out": (Refusal(error=ErrorCode.DETECTOR_TIMEOUT, message="late"), Finding.UNANALYSED),
    "rejected": (Refusal(error=ErrorCode.INVALID_REQUEST, message="bad"), Finding.UNANALYSED),
    "other content": (Refusal(error=ErrorCode.DUPLICATE_MISMATCH, message="other"), Finding.MISMATCH),
}


@pytest.mark.parametrize(("found", "finding"), OBSERVED.values(), ids=OBSERVED)
def test_observation_of_verdict(found, finding):
    sent_on = detection(found, ids=ids(tenant="bank-1", session_id="s"))
    observation = observe(sent_on, GUID, judge(found, POLICY), POLICY)
    assert observation.finding is finding
    assert (observation.tenant, observation.session_id, observation.at_ms) == ("bank-1", "s", APPENDED_AT_MS)
    claimed = finding is Finding.MISMATCH
    assert observation.submission_id == ("sub-1~0123456789ab" if claimed else "sub-1")
    assert bool(observation.species) is (finding is Finding.SPOOF)


@pytest.mark.parametrize(
    ("confidence", "severity"), [(0.0, 1.0), (0.27, 0.5), (0.53, 0.02), (0.54, 0.0), (0.58, 0.0), (0.95, 0.0)]
)
def test_severity(confidence, severity):
    found = analysis(confidence)
    assert observe(detection(found), GUID, judge(found, POLICY), POLICY).severity == severity


def test_species_is_strongest_reason():
    found = analysis(0.0, readings=(reading("lbp_texture", 0.0, reason="flat_texture"), reading("sharpness", 0.4)))
    assert observe(detection(found), GUID, judge(found, POLICY), POLICY).species == "flat_texture"


async def test_other_content_is_flagged(pipeline):
    await pipeline.decision(sent(1))
    output = await pipeline.decision(sent(1, 5, image=base64_of(OTHER_IMAGE)))
    observation = abuse_of(output)["observation"]
    assert (observation["finding"], observation["counted_as"][:6]) == ("mismatch", "sub-1~")
    (event,) = of_kind(pipeline.flags, "content_mismatch")
    assert event["subject"] == {"type": "correlation_id", "key": GUID}
    pipeline.flags.clear()
    await pipeline.decision(sent(1, 9, image=base64_of(OTHER_IMAGE)))
    assert pipeline.flags == [], "the same again"


async def test_guessed_submission_id_harms_nobody(pipeline):
    """Before admission and behind it."""
    (ours,), (theirs,) = await pipeline.detect(sent(1, 1)), await pipeline.detect(sent(1, correlation_id=OTHER_GUID))
    await pipeline.decide(theirs)
    others = [sent(1, at_s, image=base64_of(OTHER_IMAGE + bytes(at_s))) for at_s in range(1, 12)]
    outputs = [await pipeline.decide(ours), *[await pipeline.decision(other) for other in others]]
    assert {code_of(output) for output in outputs} == {ErrorCode.DUPLICATE_MISMATCH}
    assert [output for output in outputs if abuse_of(output)["observation"] or abuse_of(output)["flags"]] == []
    assert pipeline.flags == []
    assert code_of(await pipeline.decision(sent(2, 12))) is None


async def test_no_observation_without_correlation_id(pipeline):
    output = await pipeline.decision(sent(1, correlation_id=...))
    assert event_of(output)["abuse"] is None
    assert pipeline.ledger.journals == {}


async def test_decision_holds_its_observation(spoofing):
    output = await spoofing.decision(sent(1, **EVERYTHING))
    abuse = abuse_of(output)
    fields = ["is_abuse_detected", "flags", "ip_risk", "other_flagged_sessions", "face_comparison", "links"]
    assert list(abuse) == [*fields, "observation"]
    observation = abuse["observation"]
    assert (observation["finding"], observation["as_expected"]) == ("spoof", False)
    assert observation["at"] == "2023-11-14T22:13:20.000Z"
    assert [each["type"] for each in observation["subjects"]] == ["device", "address", "prefix"]
    assert [flag["kind"] for flag in abuse["flags"]] == ["address_mismatch"]
    parts = [{"name": "address_mismatch", "points": 35, "detail": "not the expected address or network"}]
    assert abuse["ip_risk"] == {"score": 35, "parts": parts}
    back = from_decision(event_of(output))
    assert back is not None
    known = await InMemoryLedger().observe(back)
    assert (await spoofing.ledger.history("bank-1", back.subjects[1])).attempts == known.histories[1].attempts


async def test_flag_published_with_decision(spoofing):
    await five_failures(spoofing, tenant="bank-1")
    (output,) = spoofing.flags
    event = event_of(output)
    assert output.key == GUID.encode()
    assert {name: value.decode() for name, value in output.headers} == {
        "ce_specversion": "1.0",
        "ce_type": "liveness.abuse-flag.v1",
        "ce_source": "/test",
        "ce_id": f"{event['flag_id']}-level-1",
        "ce_subject": event["flag_id"],
        "ce_correlationid": GUID,
        "ce_tenant": "bank-1",
        "content-type": "application/json",
    }
    assert (event["state"], event["kind"], event["cause"]) == ("raised", "excessive_retries", "sub-5")
    assert [each["submission"] for each in event["evidence"]["linked"]] == [f"sub-{n}" for n in range(1, 6)]


async def test_later_duplicate_publishes_no_flag(spoofing):
    first = await fifth_failure(spoofing)
    (later,) = await spoofing.detect(sent(5, 6))
    decision = await spoofing.decide(first)
    spoofing.flags.clear()
    assert await spoofing.decide(later) == decision
    assert spoofing.flags == []
    await spoofing.decide(first)
    assert len(spoofing.flags) == 1


async def test_crash_before_publishing_loses_nothing():
    """Worker that died after storing: the next one given the detection publishes the same, whatever came between."""
    store, ledger = InMemoryDecisionStore(), InMemoryLedger()
    pipeline, other_worker = (attacked(store=store, ledger=ledger) for _ in range(2))
    last = await fifth_failure(pipeline)
    decision = await pipeline.decide(last)
    assert len(pipeline.flags) == 1
    await other_worker.decision(sent(6, 4.5, correlation_id=OTHER_GUID))
    assert await other_worker.decide(last) == decision
    assert other_worker.flags == pipeline.flags


async def test_racing_other_content_publishes_flags(spoofing):
    """Other content is observed before the store tells; flags of that observation are published too."""
    for number in range(4):
        guid = f"{GUID[:-1]}{number}"
        await spoofing.decision(sent(10 + number, number, correlation_id=guid, device_id=DEVICE))
    assert spoofing.flags == []
    (owner,) = await spoofing.detect(sent(1, 5))
    (other,) = await spoofing.detect(sent(1, 6, device_id=DEVICE, image=base64_of(OTHER_IMAGE)))
    await spoofing.decide(owner)
    assert code_of(await spoofing.decide(other)) == ErrorCode.DUPLICATE_MISMATCH
    assert sorted(event["kind"] for event in map(event_of, spoofing.flags)) == ["content_mismatch", "device_velocity"]
    published = list(spoofing.flags)
    assert code_of(await spoofing.decide(other)) == ErrorCode.DUPLICATE_MISMATCH
    assert spoofing.flags == published * 2


async def test_decision_made_for_record(pipeline):
    assert is_about(b'{"abuse": null}', detection()), "a refusal at the gate raises no flags"
    decision = (await pipeline.decision(sent(1))).value or b""
    assert is_about(decision, detection())
    assert not is_about(decision, detection(appended_at_ms=APPENDED_AT_MS + 1))


async def test_no_address_or_device_in_outputs():
    pipeline = attacked(policy=policy_of(address_velocity={"submissions": 2}))
    outputs = []
    for number in range(8):
        address = ADDRESS if number % 2 else OTHER_ADDRESS
        changed = {**EVERYTHING, "client_ip": address, "correlation_id": f"{GUID[:-1]}{number}"}
        for given in (sent(number, number, **changed), sent(number, number, **{**changed, "image": "%"})):
            (passed_on,) = await pipeline.detect(given)
            outputs += [passed_on, await pipeline.decide(passed_on)]
    by_kind = {event_of(output)["kind"]: output for output in pipeline.flags}
    assert by_kind.keys() >= {"address_velocity", "device_velocity"}
    flag, ledger = by_kind["address_velocity"], pipeline.ledger
    assert flag.key == event_of(flag)["subject"]["key"].encode()
    assert "ce_correlationid" not in dict(flag.headers)
    values = [(each.key, each.value, each.headers) for each in [*outputs, *pipeline.flags]]
    seen = repr((values, ledger.journals, ledger.fields, ledger.locators))
    assert [private for private in PRIVATE if private in seen] == []


async def all_kinds_of_flags():
    attacks = {rule: {"attacks": 2} for rule in ("attack_frequency", "attack_severity")}
    shared = {"many_ids_on_address": {"ids": 2, "prefix_ids": 3}, "device_velocity": {"ids": 2}}
    pipeline = Pipeline(
        FakeAnalyser(BLATANT), policy=policy_of(**attacks, **shared, address_velocity={"submissions": 2})
    )
    outputs = await five_failures(pipeline, **EVERYTHING)
    for given in (
        sent(6, 5, **EVERYTHING),
        sent(1, 6, **EVERYTHING, image=base64_of(OTHER_IMAGE)),
        sent(7, 7, **{**EVERYTHING, "correlation_id": OTHER_GUID}),
    ):
        outputs.append(await pipeline.decision(given))
    return pipeline, outputs


FLAG_KEYS = [
    *("flag_id", "kind", "tenant", "subject", "state", "level", "severity", "enforced", "evidence", "refusal"),
    *("first_seen", "last_seen", "expires_at", "policy", "review", "cause", "timestamp"),
]


async def test_decisions_and_flag_events_keep_schema():
    pipeline, outputs = await all_kinds_of_flags()
    assert [violations(event_of(output), DECISION_SCHEMA) for output in outputs] == [[]] * len(outputs)
    assert any(abuse_of(output)["flags"] for output in outputs)
    events = [event_of(output) for output in pipeline.flags]
    assert {event["kind"] for event in events} == {
        *("excessive_retries", "attack_frequency", "attack_severity", "address_velocity", "many_ids_on_address"),
        *("device_velocity", "address_mismatch", "content_mismatch"),
    }
    for event in events:
        assert list(event) == FLAG_KEYS
        assert violations(event, FLAG_SCHEMA) == []


def without(prefix, keys):
    return [((*prefix, key), ...) for key in keys.split()]


BROKEN_ABUSE = [
    *without((), "is_abuse_detected flags ip_risk other_flagged_sessions observation"),
    *without(("flags", 0), "flag_id kind subject state severity enforced refuses_until"),
    *without(("observation",), "at counted_as finding severity species subjects networks as_expected"),
    *((("extra",), 1), (("other_flagged_sessions",), [5])),
    *((("flags", 0, "flag_id"), "fl_1"), (("flags", 0, "kind"), "bad_hair"), (("flags", 0, "subject", "key"), ADDRESS)),
    *((("observation", "subjects", 0, "key"), ADDRESS), (("observation", "finding"), "LIVE")),
    (("observation", "severity"), 1.5),
    *((("ip_risk", "score"), 101), (("ip_risk", "parts", 0, "points"), "many")),
]


BROKEN_FLAGS = [
    *without((), " ".join(FLAG_KEYS)),
    *without(("evidence",), "rule used limit window_s counts linked"),
    *without(("evidence", "linked", 0), "correlation_id session submission when why"),
    *((("flag_id",), "fl_x"), (("kind",), "bad_hair"), (("state",), "over"), (("severity",), "mild"), (("level",), 0)),
    *((("subject", "key"), ADDRESS), (("subject", "type"), "person"), (("extra",), 1)),
    *((("refusal", "kind"), "jailed"), (("refusal", "until"), ...), (("review",), {"actor": "ada"})),
    (("expires_at",), "2026-01-02T03:04:05+00:00"),
]


async def test_schema_rejects_others(paused):
    decision = event_of(await Pipeline().decision(sent(1, **EVERYTHING)))
    broken_abuse = [(("abuse", *path), value) for path, value in BROKEN_ABUSE]
    for document, schema, broken in (
        (event_of(paused.flags[0]), FLAG_SCHEMA, BROKEN_FLAGS),
        (decision, DECISION_SCHEMA, broken_abuse),
    ):
        assert violations(document, schema) == []
        assert [row for row in broken if not violations(changed(document, *row), schema)] == []


async def test_later_flag_events_keep_schema(paused):
    flag = await flag_of(paused)
    at = word(APPENDED_AT_MS + 10_000)
    for event in (confirmed(flag, at, POLICY.abuse.flag_ttl_s), overridden(flag, at), expired(flag)):
        document = orjson.loads(event.document)
        assert list(document) == FLAG_KEYS
        assert violations(document, FLAG_SCHEMA) == []


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> int:
    """Attempts that a journal holds: fewer than 256, which take a second to write."""
    monkeypatch.setitem(KEPT, SubjectType.CORRELATION_ID, 32)
    return 32


@pytest.mark.parametrize("filler", ["other content", "no picture"])
async def test_filler_hides_no_failures(spoofing, few_kept, filler):
    """Submissions answered without the gate are accepted during a pause too: as many as a journal holds change nothing,
    the third pause is a block."""
    for number in range(3):
        begun_s = 1805 * number
        await five_failures(spoofing, first=10 * number, at_s=begun_s)
        for n in range(few_kept + 1):
            name, image = (1, OTHER_IMAGE) if filler == "other content" else (1000 * (number + 1) + n, b"no picture")
            await spoofing.decision(sent(name, begun_s + 10 + n, image=base64_of(image)))
    assert code_of(await spoofing.decision(sent(99, 6 * 3600))) == ErrorCode.SUBJECT_BLOCKED


async def test_pause_can_not_be_moved(spoofing, few_kept):
    """Pause after ten unanalysed submissions: further ones don't move it, and failures after it count."""
    for number in range(10):
        await spoofing.decision(sent(number, number, image=base64_of(b"no picture")))
    for number in range(few_kept + 20):
        await spoofing.decision(sent(1000 + number, 1500 + number, image=base64_of(b"no picture")))
    await five_failures(spoofing, first=5000, at_s=1810)
    assert code_of(await spoofing.decision(sent(6000, 1816))) == ErrorCode.SUBJECT_PAUSED
