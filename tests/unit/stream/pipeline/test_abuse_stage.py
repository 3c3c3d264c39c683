"""Abuse on the line, over fakes: what a submission leads to, who publishes it, and what everybody may read of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from abuse.flags.flag_events import Review, cleared_field, confirmed, expired, overridden
from abuse.ledger.journal import KEPT
from abuse.ledger.ledger import InMemoryLedger
from abuse.observation import Finding
from abuse.observation_codec import from_decision
from abuse.subjects import SubjectType, correlation
from config.error_codes import ErrorCode
from config.policy import Policy
from stream.events.messages import Refusal
from stream.pipeline.abuse_stage import is_about, observe
from stream.pipeline.decision_store import InMemoryDecisionStore
from stream.pipeline.verdict import judge
from tests.unit.stream.builders import OTHER_GUID, OTHER_IMAGE, analysis, base64_of, detection, ids, reading
from tests.unit.stream.fakes import Away, FakeAnalyser, Pipeline
from tests.unit.stream.json_schema import violations
from tests.unit.stream.pipeline.abuse_cases import (
    ADDRESS,
    APPENDED_AT_MS,
    BLATANT,
    DEVICE,
    GUID,
    LIVE,
    OTHER_ADDRESS,
    SPOOF,
    abuse_of,
    attacked,
    code_of,
    event_of,
    five_failures,
    of_kind,
    sent,
)
from tests.unit.stream.runtime.virtual_time import run

ROOT = Path(__file__).resolve().parents[4]
DECISION_SCHEMA = orjson.loads((ROOT / "docs/schemas/decision.v1.json").read_bytes())
FLAG_SCHEMA = orjson.loads((ROOT / "docs/schemas/abuse-flag.v1.json").read_bytes())
POLICY = Policy()
EVERYTHING = {
    "client_ip": ADDRESS,
    "device_id": DEVICE,
    "session_id": "session-1",
    "tenant": "bank-1",
    "expected_client_ip": "198.51.100.0/24",
}


def shadow(**rules):
    return Policy.model_validate({"abuse": {rule: {"enforced": False} for rule in rules}})


def word(at_ms, command_id="cmd-1"):
    return Review(command_id=command_id, actor="ada", reason="checked", note="", at_ms=at_ms)


# --- the gate


async def test_after_five_failures_nothing_is_analysed_for_half_an_hour():
    line = attacked()
    await five_failures(line)
    line.analyser.pictures.clear()
    output = await line.decision(sent(6, 5))
    assert code_of(output) == ErrorCode.SUBJECT_PAUSED
    assert line.analyser.pictures == []
    assert event_of(output)["error"]["message"].endswith("; 30 min left, until 2023-11-14T22:43:24.000Z")
    assert (event_of(output)["result"]["verdict"], event_of(output)["result"]["score"]) == ("INCONCLUSIVE", 0)


@pytest.mark.parametrize(
    ("at_s", "left"), [(4.001, "30 min"), (5, "30 min"), (64, "29 min"), (64.001, "29 min"), (1803.999, "1 min")]
)
async def test_the_minutes_left_are_rounded_up(at_s, left):
    line = attacked()
    await five_failures(line)
    assert f"; {left} left" in event_of(await line.decision(sent(6, at_s)))["error"]["message"]


@pytest.mark.parametrize(
    ("at_s", "code"), [(4, ErrorCode.SUBJECT_PAUSED), (-170, ErrorCode.SUBJECT_PAUSED), (1804, None)]
)
async def test_what_came_in_with_the_fifth_failure_is_not_analysed_and_what_comes_after_the_pause_is(at_s, code):
    line = attacked()
    await five_failures(line)
    assert code_of(await line.decision(sent(6, at_s))) == code


async def test_another_person_or_another_tenant_s_is_analysed():
    line = attacked()
    await five_failures(line)
    assert code_of(await line.decision(sent(6, 5, correlation_id=OTHER_GUID))) is None
    assert code_of(await line.decision(sent(7, 5, tenant="bank-1"))) is None


async def test_the_third_pause_is_a_block():
    line = attacked()
    for number in range(3):
        await five_failures(line, first=10 * number, at_s=1804 * number + number)
    output = await line.decision(sent(99, 6 * 3600))
    assert code_of(output) == ErrorCode.SUBJECT_BLOCKED
    message = event_of(output)["error"]["message"]
    assert "until 2023-11-21T23:" in message
    assert message.endswith("unless a reviewer decides before")


async def test_a_refusal_names_its_flags_and_teaches_nothing():
    line = attacked()
    await five_failures(line)
    before = {shard: set(lines) for shard, lines in line.ledger.journals.items()}
    abuse = abuse_of(await line.decision(sent(6, 5)))
    assert line.ledger.journals == before
    assert len(line.flags) == 1
    (flag,) = abuse["flags"]
    assert flag == {
        "flag_id": event_of(line.flags[0])["flag_id"],
        "kind": "excessive_retries",
        "subject": {"type": "correlation_id", "key": GUID},
        "state": "raised",
        "severity": "medium",
        "enforced": True,
        "refuses_until": "2023-11-14T22:43:24.000Z",
    }
    assert (abuse["is_abuse_detected"], abuse["observation"], abuse["ip_risk"]) == (True, None, None)


async def test_a_shadow_refuses_nobody_and_its_event_says_what_it_would_have_done():
    line = attacked(policy=shadow(excessive_retries=...))
    await five_failures(line)
    output = await line.decision(sent(6, 5))
    assert code_of(output) is None
    assert len(line.analyser.pictures) == 6
    (flag,) = abuse_of(output)["flags"]
    assert (flag["enforced"], flag["refuses_until"]) == (False, None)
    event = event_of(line.flags[0])
    assert (event["enforced"], event["refusal"]["until"]) == (False, "2023-11-14T22:43:24.000Z")


async def test_what_a_reviewer_confirmed_refuses_though_the_rule_is_a_shadow():
    line = attacked(policy=shadow(excessive_retries=...))
    await five_failures(line)
    (flag,) = (await line.ledger.read_history(None, [correlation(GUID)])).flags
    await line.ledger.record([confirmed(flag, word(APPENDED_AT_MS + 1_000_000), POLICY.abuse.flag_ttl_s)])
    assert code_of(await line.decision(sent(6, 9))) is None
    assert code_of(await line.decision(sent(7, 3600))) == ErrorCode.SUBJECT_BLOCKED


async def test_what_a_reviewer_overrode_refuses_nobody_and_a_new_episode_is_flagged_anew():
    line = attacked()
    await five_failures(line)
    (flag,) = (await line.ledger.read_history(None, [correlation(GUID)])).flags
    at_ms = APPENDED_AT_MS + 10_000
    await line.ledger.record([overridden(flag, word(at_ms))])
    await line.ledger.clear(None, flag.subject, *cleared_field("cmd-1", at_ms))
    again = await five_failures(line, first=20, at_s=20)
    assert [code_of(output) for output in again] == [None] * 5
    assert len({event["flag_id"] for event in of_kind(line.flags, "excessive_retries")}) == 2


async def test_a_switch_takes_effect_at_once():
    line = attacked()
    await five_failures(line)
    await line.ledger.switch(None, {"excessive_retries": {"enforced": False}})
    assert code_of(await line.decision(sent(6, 5))) is None
    await line.ledger.switch(None, {})
    assert code_of(await line.decision(sent(7, 6))) == ErrorCode.SUBJECT_PAUSED


async def test_a_decided_submission_is_answered_again_even_during_a_pause():
    line = attacked()
    decisions = await five_failures(line)
    assert await line.decision(sent(1, 5)) == decisions[0]
    other = await line.decision(sent(2, 6, image=base64_of(OTHER_IMAGE)))
    assert code_of(other) == ErrorCode.DUPLICATE_MISMATCH


# --- what is learnt


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
def test_what_a_verdict_is_to_abuse(found, finding):
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
def test_severity_is_the_way_down_from_the_bound_of_spoof(confidence, severity):
    found = analysis(confidence)
    assert observe(detection(found), GUID, judge(found, POLICY), POLICY).severity == severity


def test_the_species_is_the_strongest_reason():
    found = analysis(0.0, readings=(reading("lbp_texture", 0.0, reason="flat_texture"), reading("sharpness", 0.4)))
    assert observe(detection(found), GUID, judge(found, POLICY), POLICY).species == "flat_texture"


async def test_ten_that_can_not_be_analysed_are_a_pause_and_nobody_s_failure():
    line = Pipeline()
    for number in range(9):
        assert abuse_of(await line.decision(sent(number, number, image="%")))["flags"] == []
    (flag,) = abuse_of(await line.decision(sent(9, 9, image="%")))["flags"]
    assert flag["state"] == "raised"
    assert event_of(line.flags[0])["evidence"]["counts"]["unit"] == "attempts"


async def test_other_content_under_a_used_id_is_observed_as_such_and_flagged():
    line = Pipeline()
    await line.decision(sent(1))
    output = await line.decision(sent(1, 5, image=base64_of(OTHER_IMAGE)))
    observation = abuse_of(output)["observation"]
    assert observation["finding"] == "mismatch"
    assert observation["counted_as"].startswith("sub-1~")
    (event,) = of_kind(line.flags, "content_mismatch")
    assert event["subject"] == {"type": "correlation_id", "key": GUID}
    line.flags.clear()
    await line.decision(sent(1, 9, image=base64_of(OTHER_IMAGE)))
    assert line.flags == [], "the same again"


async def test_who_guesses_another_s_submission_id_does_the_other_no_harm():
    line = Pipeline()
    await line.decision(sent(1, correlation_id=OTHER_GUID))
    for at_s in range(1, 12):
        output = await line.decision(sent(1, at_s, image=base64_of(OTHER_IMAGE + bytes(at_s))))
        assert code_of(output) == ErrorCode.DUPLICATE_MISMATCH
        assert (abuse_of(output)["observation"], abuse_of(output)["flags"]) == (None, [])
    assert line.flags == []
    assert code_of(await line.decision(sent(2, 12))) is None


async def test_the_same_when_both_are_past_admission():
    line = Pipeline()
    ours, theirs = [
        (await line.detect(sent(1, 1)))[-1],
        (await line.detect(sent(1, 0, correlation_id=OTHER_GUID)))[-1],
    ]
    await line.decide(theirs)
    output = await line.decide(ours)
    assert code_of(output) == ErrorCode.DUPLICATE_MISMATCH
    assert abuse_of(output)["observation"] is None


async def test_a_submission_of_nobody_teaches_nothing():
    line = Pipeline()
    output = await line.decision(sent(1, correlation_id=...))
    assert event_of(output)["abuse"] is None
    assert line.ledger.journals == {}


async def test_a_decision_says_how_it_was_counted():
    line = Pipeline(FakeAnalyser(SPOOF))
    output = await line.decision(sent(1, **EVERYTHING))
    abuse = abuse_of(output)
    fields = ["is_abuse_detected", "flags", "ip_risk", "other_flagged_sessions", "face_comparison", "links"]
    assert list(abuse) == [*fields, "observation"]
    observation = abuse["observation"]
    assert (observation["finding"], observation["as_expected"], observation["at"]) == (
        "spoof",
        False,
        "2023-11-14T22:13:20.000Z",
    )
    assert [each["type"] for each in observation["subjects"]] == ["device", "address", "prefix"]
    assert [flag["kind"] for flag in abuse["flags"]] == ["address_mismatch"]
    assert abuse["ip_risk"] == {
        "score": 35,
        "parts": [{"name": "address_mismatch", "points": 35, "detail": "not the expected address or network"}],
    }
    back = from_decision(event_of(output))
    assert back is not None
    known = await InMemoryLedger().observe(back)
    assert (await line.ledger.history("bank-1", back.subjects[1])).attempts == known.histories[1].attempts


async def test_other_sessions_on_the_same_device_are_named():
    line = attacked()
    guids = [f"{GUID[:-1]}{number}" for number in range(6)]
    outputs = [
        await line.decision(sent(n, n, correlation_id=guid, device_id=DEVICE, session_id=f"session-{n}"))
        for n, guid in enumerate(guids)
    ]
    assert abuse_of(outputs[3])["other_flagged_sessions"] == []
    assert abuse_of(outputs[5])["other_flagged_sessions"] == [f"session-{n}" for n in (4, 3, 2, 1, 0)]


# --- who publishes


async def test_the_flag_a_submission_brings_about_is_published_with_its_decision():
    line = attacked()
    await five_failures(line, tenant="bank-1")
    (output,) = line.flags
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


async def test_redelivered_a_detection_publishes_the_same_bytes_again():
    line = attacked()
    for number in range(1, 5):
        await line.decision(sent(number, number))
    (last,) = await line.detect(sent(5, 5))
    first = await line.decide(last)
    flags = list(line.flags)
    assert len(flags) == 1
    await line.decision(sent(6, 4.5, correlation_id=OTHER_GUID))
    assert await line.decide(last) == first
    assert line.flags == flags * 2


async def test_redelivered_a_submission_publishes_the_decision_and_no_flag_again():
    """It is acknowledged only when the detection is, which is when the flags were."""
    line = attacked()
    decisions = await five_failures(line)
    line.flags.clear()
    assert await line.decision(sent(5, 4)) == decisions[-1]
    assert line.flags == []


async def test_a_duplicate_sent_later_publishes_the_decision_and_no_flag():
    line = attacked()
    for number in range(1, 5):
        await line.decision(sent(number, number))
    (first,), (later,) = await line.detect(sent(5, 5)), await line.detect(sent(5, 6))
    decision = await line.decide(first)
    line.flags.clear()
    assert await line.decide(later) == decision
    assert line.flags == []
    await line.decide(first)
    assert len(line.flags) == 1


async def test_a_crash_before_anything_was_published_loses_nothing():
    """Everything was stored, nothing confirmed: whoever is given the detection next publishes all of it."""
    store, ledger = InMemoryDecisionStore(), InMemoryLedger()
    line = attacked(store=store, ledger=ledger)
    for number in range(1, 5):
        await line.decision(sent(number, number))
    (last,) = await line.detect(sent(5, 5))
    decision = await line.decide(last)
    other_worker = attacked(store=store, ledger=ledger)
    assert await other_worker.decide(last) == decision
    assert other_worker.flags == line.flags


async def test_other_content_that_races_past_admission_leaves_no_flag_unpublished():
    """It is observed before it turns out to be other content; what that brings about is published all the same."""
    line = attacked()
    for number in range(4):
        guid = f"{GUID[:-1]}{number}"
        await line.decision(sent(10 + number, number, correlation_id=guid, device_id=DEVICE))
    assert line.flags == []
    (owner,) = await line.detect(sent(1, 5))
    (other,) = await line.detect(sent(1, 6, device_id=DEVICE, image=base64_of(OTHER_IMAGE)))
    await line.decide(owner)
    assert code_of(await line.decide(other)) == ErrorCode.DUPLICATE_MISMATCH
    assert sorted(event["kind"] for event in map(event_of, line.flags)) == ["content_mismatch", "device_velocity"]
    published = list(line.flags)
    assert code_of(await line.decide(other)) == ErrorCode.DUPLICATE_MISMATCH
    assert line.flags == published * 2


async def test_a_flag_of_an_address_is_keyed_by_its_hash():
    policy = Policy.model_validate({"abuse": {"address_velocity": {"submissions": 2}}})
    line = Pipeline(policy=policy)
    for number in range(2):
        await line.decision(sent(number, number, client_ip=ADDRESS))
    (output,) = line.flags
    assert output.key == event_of(output)["subject"]["key"].encode()
    assert "ce_correlationid" not in dict(output.headers)


def test_a_stored_decision_is_about_the_record_it_was_made_for():
    def decided(at):
        return orjson.dumps({"abuse": at and {"observation": at}})

    assert is_about(decided(None), detection()), "a refusal at the gate told no flags"
    line = Pipeline()
    output = asyncio.run(line.decision(sent(1)))
    assert is_about(output.value or b"", detection())
    assert not is_about(output.value or b"", detection(appended_at_ms=APPENDED_AT_MS + 1))


# --- waiting


@pytest.mark.parametrize("call", ["observe", "record"])
def test_while_the_table_is_away_nothing_is_published(call):
    async def scenario():
        away = Away(25, only=call)
        line = attacked(ledger=InMemoryLedger(away))
        for number in range(1, 5):
            away.left = 0
            await line.decision(sent(number, number))
        (last,) = await line.detect(sent(5, 5))
        away.left = 25
        waiting = asyncio.create_task(line.decide(last))
        await asyncio.sleep(20)
        assert not waiting.done()
        assert line.patience.waiting_for == ("redis",)
        await waiting
        assert len(line.flags) == 1
        assert away.left == 0

    run(scenario())


def test_while_the_table_is_away_nobody_is_let_through():
    async def scenario():
        away = Away(25)
        line = attacked(ledger=InMemoryLedger(away))
        waiting = asyncio.create_task(line.detect(sent(1)))
        await asyncio.sleep(20)
        assert not waiting.done()
        assert line.analyser.pictures == []
        await waiting
        assert len(line.analyser.pictures) == 1

    run(scenario())


# --- what anybody may read


def everything_in(outputs):
    return b"".join((o.key or b"") + (o.value or b"") + b"".join(v for _, v in o.headers) for o in outputs)


async def test_no_output_holds_an_address_or_a_device():
    line = attacked(policy=Policy.model_validate({"abuse": {"address_velocity": {"submissions": 2}}}))
    outputs = []
    for number in range(8):
        address = ADDRESS if number % 2 else OTHER_ADDRESS
        changed = {**EVERYTHING, "client_ip": address, "correlation_id": f"{GUID[:-1]}{number}"}
        for given in (sent(number, number, **changed), sent(number, number, **{**changed, "image": "%"})):
            (passed_on,) = await line.detect(given)
            outputs += [passed_on, await line.decide(passed_on)]
    outputs += line.flags
    assert {event["kind"] for event in map(event_of, line.flags)} >= {"address_velocity", "device_velocity"}
    seen = everything_in(outputs) + repr((line.ledger.journals, line.ledger.fields, line.ledger.locators)).encode()
    for private in (ADDRESS, OTHER_ADDRESS, DEVICE, "203.0.113.", "2001:db8", "198.51.100"):
        assert private.encode() not in seen


# --- schemas


async def all_kinds_of_flags():
    policy = Policy.model_validate(
        {
            "abuse": {
                "address_velocity": {"submissions": 2},
                "many_ids_on_address": {"ids": 2, "prefix_ids": 3},
                "attack_frequency": {"attacks": 2},
                "attack_severity": {"attacks": 2},
                "device_velocity": {"ids": 2},
            }
        }
    )
    line = Pipeline(FakeAnalyser(BLATANT), policy=policy)
    outputs = await five_failures(line, **EVERYTHING)
    outputs.append(await line.decision(sent(6, 5, **EVERYTHING)))
    outputs.append(await line.decision(sent(1, 6, **EVERYTHING, image=base64_of(OTHER_IMAGE))))
    outputs.append(await line.decision(sent(7, 7, **{**EVERYTHING, "correlation_id": OTHER_GUID})))
    return line, outputs


async def test_every_decision_keeps_the_schema():
    _, outputs = await all_kinds_of_flags()
    assert [violations(event_of(output), DECISION_SCHEMA) for output in outputs] == [[]] * len(outputs)
    assert any(abuse_of(output)["flags"] for output in outputs)


FLAG_KEYS = [
    *("flag_id", "kind", "tenant", "subject", "state", "level", "severity", "enforced", "evidence", "refusal"),
    *("first_seen", "last_seen", "expires_at", "policy", "review", "cause", "timestamp"),
]


async def test_every_flag_event_keeps_the_documented_order_and_the_schema():
    line, _ = await all_kinds_of_flags()
    events = [event_of(output) for output in line.flags]
    assert {event["kind"] for event in events} == {
        *("excessive_retries", "attack_frequency", "attack_severity", "address_velocity", "many_ids_on_address"),
        *("device_velocity", "address_mismatch", "content_mismatch"),
    }
    for event in events:
        assert list(event) == FLAG_KEYS
        assert violations(event, FLAG_SCHEMA) == []


def broken(event, path, value):
    target = event = orjson.loads(orjson.dumps(event))
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return event


BROKEN_ABUSE = [
    *[((key,), ...) for key in ("is_abuse_detected", "flags", "ip_risk", "other_flagged_sessions", "observation")],
    *[
        (("flags", 0, key), ...)
        for key in ("flag_id", "kind", "subject", "state", "severity", "enforced", "refuses_until")
    ],
    *[
        (("observation", key), ...)
        for key in (*("at", "counted_as", "finding", "severity", "species", "subjects", "networks", "as_expected"),)
    ],
    (("extra",), 1),
    (("flags", 0, "flag_id"), "fl_1"),
    (("flags", 0, "kind"), "bad_hair"),
    (("flags", 0, "subject", "key"), ADDRESS),
    (("observation", "subjects", 0, "key"), ADDRESS),
    (("observation", "finding"), "LIVE"),
    (("observation", "severity"), 1.5),
    (("ip_risk", "score"), 101),
    (("ip_risk", "parts", 0, "points"), "many"),
    (("other_flagged_sessions",), [5]),
]


@pytest.mark.parametrize(("path", "value"), BROKEN_ABUSE)
async def test_the_schema_refuses_what_is_no_abuse_object(path, value):
    decision = event_of(await Pipeline().decision(sent(1, **EVERYTHING)))
    assert violations(decision, DECISION_SCHEMA) == []
    assert violations(broken(decision, ("abuse", *path), value), DECISION_SCHEMA)


BROKEN_FLAGS = [
    *[((key,), ...) for key in FLAG_KEYS],
    *[(("evidence", key), ...) for key in ("rule", "used", "limit", "window_s", "counts", "linked")],
    *[(("evidence", "linked", 0, key), ...) for key in ("correlation_id", "session", "submission", "when", "why")],
    (("flag_id",), "fl_x"),
    (("kind",), "bad_hair"),
    (("state",), "over"),
    (("severity",), "mild"),
    (("level",), 0),
    (("subject", "key"), ADDRESS),
    (("subject", "type"), "person"),
    (("refusal", "kind"), "jailed"),
    (("refusal", "until"), ...),
    (("review",), {"actor": "ada"}),
    (("expires_at",), "2026-01-02T03:04:05+00:00"),
    (("extra",), 1),
]


@pytest.mark.parametrize(("path", "value"), BROKEN_FLAGS)
async def test_the_schema_refuses_what_is_no_flag_event(path, value):
    line = attacked()
    await five_failures(line)
    assert violations(broken(event_of(line.flags[0]), path, value), FLAG_SCHEMA)


async def test_what_reviewers_and_time_make_of_a_flag_keeps_the_schema_too():
    line = attacked()
    await five_failures(line)
    (flag,) = (await line.ledger.read_history(None, [correlation(GUID)])).flags
    at = word(APPENDED_AT_MS + 10_000)
    for event in (confirmed(flag, at, POLICY.abuse.flag_ttl_s), overridden(flag, at), expired(flag)):
        document = orjson.loads(event.document)
        assert list(document) == FLAG_KEYS
        assert violations(document, FLAG_SCHEMA) == []


async def test_an_appended_time_of_its_own_makes_another_record():
    assert sent(1, 5) == replace(sent(1), appended_at_ms=APPENDED_AT_MS + 5000)


async def test_a_flag_that_losing_content_earned_is_told():
    """Two contents are in flight under one id. The one that loses was the fifth failure: the table knows it by then."""
    line = attacked()
    for number in range(1, 5):
        await line.decision(sent(number, number))
    (loser,) = await line.detect(sent(5, 5))
    line.analyser.found = LIVE
    (winner,) = await line.detect(sent(5, 6, image=base64_of(OTHER_IMAGE)))
    assert code_of(await line.decide(winner)) is None
    assert code_of(await line.decide(loser)) == ErrorCode.DUPLICATE_MISMATCH
    held = await line.ledger.read_history(None, [correlation(GUID)])
    assert {flag.flag_id for flag in held.flags} == {event_of(flag)["flag_id"] for flag in line.flags}
    assert len(of_kind(line.flags, "excessive_retries")) == 1


@pytest.mark.parametrize("filler", ["other content", "no picture"])
async def test_nobody_makes_the_table_forget_failures(filler):
    """What is answered without asking the gate comes in during a pause too; as much of it as a journal holds changes
    nothing: the third pause is a block."""
    line = attacked()
    for number in range(3):
        await five_failures(line, first=10 * number, at_s=1804 * number + number)
        for n in range(KEPT[SubjectType.CORRELATION_ID] + 1):
            at_s = 1804 * number + number + 10 + n
            if filler == "other content":
                await line.decision(sent(1, at_s, image=base64_of(OTHER_IMAGE)))
            else:
                await line.decision(sent(1000 * (number + 1) + n, at_s, image=base64_of(b"no picture")))
    assert code_of(await line.decision(sent(99, 6 * 3600))) == ErrorCode.SUBJECT_BLOCKED


async def test_nobody_moves_a_pause_to_hide_behind_it():
    """A pause earned by what can't be analysed stays where it was, however much more of it follows: failures after it
    count."""
    line = attacked()
    for number in range(10):
        await line.decision(sent(number, number, image=base64_of(b"no picture")))
    for number in range(KEPT[SubjectType.CORRELATION_ID] + 20):
        await line.decision(sent(1000 + number, 1500 + number, image=base64_of(b"no picture")))
    await five_failures(line, first=5000, at_s=1810)
    assert code_of(await line.decision(sent(6000, 1816))) == ErrorCode.SUBJECT_PAUSED
