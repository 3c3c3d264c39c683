"""`liveness abuse`: flags, audit entries and rules as shown, also with hostile text."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest

from abuse.review.audit import head_after
from abuse.subjects import correlation
from config.limits.abuse import RULE_NAMES
from stream.bootstrap.abuse_table import Table
from stream.cli.abuse import view
from stream.events.authentication.record_mac import NO_MACS
from stream.events.topics import Topic
from tests.instants import NOW_MS
from tests.unit.abuse.builders import at_ms, guid, seen
from tests.unit.abuse.review.test_audit import chain, rehashed
from tests.unit.cli.abuse_cases import ESCAPE, harmless, run
from tests.unit.stream.maintenance.test_rebuild_forged import written
from tests.unit.stream.review.command_cases import flag_events

pytestmark = pytest.mark.usefixtures("in_memory")


# Looking


OPEN, OVER = ("raised", "escalated", "confirmed"), ("overridden", "expired")


def hostile(event: dict[str, Any], value: object) -> list[dict[str, Any]]:
    changed = [{**event, name: value} for name in event]
    for inner in ("subject", "evidence"):
        changed += [{**event, inner: {**event[inner], name: value}} for name in event[inner]]
    return changed


def test_hostile_flag_events(topic):
    event = orjson.loads(flag_events()[0].document)
    for value in (ESCAPE, [ESCAPE], {ESCAPE: ESCAPE}, None, 7):
        topic += [orjson.dumps(each) for each in hostile(event, value)]
    topic += [b"", b"{", b"7", b"null", b"[]", b"{}"]
    result = run("watch", "--from-start", "--no-follow")
    assert (result.exit_code, harmless(result.output)) == (0, True)
    assert len(result.output.splitlines()) == len(topic)


def test_hostile_evidence_and_review(capsys):
    event = orjson.loads(flag_events()[0].document)
    linked = dict.fromkeys(("correlation_id", "session", "submission", "when", "why"), ESCAPE)
    event["evidence"] |= {"counts": {ESCAPE: ESCAPE}, "linked": [linked]}
    event["review"] = dict.fromkeys(("actor", "reason", "note", "command_id", "at"), ESCAPE)
    event["refusal"] = {"kind": ESCAPE, "until": ESCAPE, "from": ESCAPE}
    for enforced in (True, False):
        view.with_evidence({**event, "enforced": enforced})
    shown = capsys.readouterr().out
    assert (harmless(shown), shown.count("  evidence:\n")) == (True, 2)


FLAG = orjson.loads(flag_events()[0].document)
LINES: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "as published": (
        orjson.loads(flag_events(level=2)[-1].document),
        ("escalated", "medium", "shadow", f"attack_frequency    correlation_id:{guid(1)}  8 of 8 in 86400 s, last "),
        "tenant",
    ),
    "of a tenant": ({"tenant": "acme"}, (f"correlation_id:{guid(1)}  tenant acme  8 of 8",), " - "),
    **{f"enforced, {state}": ({"state": state, "enforced": True}, (" enforced ",), "shadow") for state in OPEN},
    **{f"shadow, {state}": ({"state": state}, (" shadow ",), "enforced") for state in OPEN},
    **{
        f"enforced, {state}": ({"state": state, "enforced": True}, ("medium   -        at",), "force") for state in OVER
    },
    **{f"shadow, {state}": ({"state": state}, ("medium   -        attack_frequency",), "shadow") for state in OVER},
    "a long window": ({"evidence": {"used": 8, "limit": 8, "window_s": 2_592_000}}, ("in 2592000 s",), "tenant"),
    "a listed address": (
        {"evidence": {"used": 60, "limit": 50, "window_s": 0}},
        ("60 points, flagged from 50, last ",),
        " in 0 s",
    ),
}


@pytest.mark.parametrize(("changes", "words", "absent"), LINES.values(), ids=LINES)
def test_line_of_flag(changes, words, absent):
    line = view.line(FLAG | changes).plain
    assert [word for word in words if word not in line] == []
    assert absent not in line


def test_watch_names_forged_flags(topic, in_memory, monkeypatch):
    """With record keys, a flag that nobody here wrote is named by its place alone."""
    keys = [{"id": "r1", "secret": "s" * 32}]
    monkeypatch.setenv("LIVENESS_RECORDS__KEYS", json.dumps(keys))
    topic.append(written(str(Topic.ABUSE_FLAGS), b'{"flag_id": "forged"}', NO_MACS))
    for words in ((), ("--json",)):
        ran = run("watch", "--no-follow", *words)
        assert ("forged" in ran.stdout, "carries no MAC" in ran.output) == (False, True)


def test_list_and_watch_name_tenant(topic, in_memory):
    events = flag_events(tenant="acme", at_s=(NOW_MS - at_ms(0)) / 1000)
    asyncio.run(in_memory.ledger.record(events))
    topic.append(events[0].document)
    for words in (("list",), ("list", "--tenant", "acme"), ("watch", "--no-follow")):
        assert "  tenant acme  " in run(*words).output
    assert "tenant" not in run("list", "--tenant", "other").output


def test_list_order_severity_limit(in_memory):
    now_s = (NOW_MS - at_ms(0)) / 1000
    for who in range(1, 5):
        asyncio.run(in_memory.ledger.record(flag_events(subject=correlation(guid(who)), at_s=now_s - 100 + who)))

    def listed(*words: str) -> list[str]:
        return [orjson.loads(line)["subject"]["key"] for line in run("list", "--json", *words).stdout.splitlines()]

    newest_first = [guid(who) for who in (4, 3, 2, 1)]
    assert listed() == newest_first
    assert listed("--limit", "2") == newest_first[:2]
    assert listed("--severity", "low", "--severity", "medium") == newest_first
    assert listed("--severity", "high") == []
    assert run("list", "--severity", "high").output.strip() == "No open flags."
    assert run("list", "--severity", "grave").exit_code == run("list", "--limit", "0").exit_code == 2


def test_headings_of_subject(in_memory):
    ledger = in_memory.ledger
    events = flag_events()
    asyncio.run(ledger.record(events))
    asyncio.run(ledger.observe(seen(1, 0)))
    lines = run("show", guid(1)).output.splitlines()
    assert lines[-2] == "attempts:"
    assert "sub-1" in lines[-1]
    assert "  events:" in run("show", events[0].flag_id).output.splitlines()
    assert "  evidence:" not in lines


# The trail


def knows(table: Table, entry: dict[str, Any]) -> None:
    """Chain of the table brought to its end at this entry."""
    asyncio.run(table.audit.restore(head_after(orjson.dumps(entry))))


def broken_trail(*words: str) -> None:
    result = run("audit")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert [word for word in words if word not in result.output] == []


def test_whole_and_broken_chain(topic, in_memory):
    entries = chain(5)
    topic += [orjson.dumps(entry) for entry in entries[:4]]
    knows(in_memory, entries[3])
    assert run("audit").exit_code == 0
    knows(in_memory, entries[4])
    broken_trail("entry 5, its last, is missing")
    topic.append(orjson.dumps(entries[4]))
    assert run("audit").exit_code == 0
    del topic[2]
    broken_trail("entry 3 is missing")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"{", b"null", b"[]", b"{}", b"[" * 400 + b"]" * 400),
        orjson.dumps({name: held for name, held in chain(1)[0].items() if name != "error"}),
        orjson.dumps(rehashed(chain(1)[0], number=0)),
        orjson.dumps(rehashed(chain(1)[0], error="text")),
    ],
)
def test_record_that_is_no_entry(topic, value):
    topic += [*(orjson.dumps(entry) for entry in chain(3)), value]
    broken_trail("1 records are no audit entries")


def test_lost_table_is_problem(topic):
    assert run("audit").exit_code == 0
    topic.append(orjson.dumps(rehashed(chain(1, "other")[0], number=2**62)))
    topic += [orjson.dumps(entry) for entry in chain(3)]
    broken_trail("the table knows of no chain")


def test_lines_of_audit(topic):
    override = {
        "flags": [{"flag_id": "fl_1", "kind": "k", "subject": {"type": "t", "key": "a"}, "from": "x", "to": "y"}],
        "cleared": {"type": "t", "key": "a"},
        "still_open": ["fl_2"],
        "new_correlation_id": guid(2),
    }
    who = {"actor": "ann", "reason": "false_positive"}
    defaults = {"attempts": 2, "liveness_challenges": ["blink", "smile"]}
    switched = {"rule": {"active": True}, "sessions": defaults}
    for changes in (
        {**who, "command": "flag.override", "tenant": "acme", "note": "shared tablet", "changed": override},
        {**who, "command": "correlation.reset", "changed": {"flags": [], "cleared": {"type": "t", "key": "b"}}},
        {**who, "command": "settings.update", "tenant": "acme", "changed": {"after": switched}},
        {**who, "outcome": "refused", "error": {"code": "UNKNOWN_FLAG"}, "note": "twice"},
    ):
        topic.append(orjson.dumps(rehashed(chain(1)[0], **changes)))
    assert [line.partition("one 1  ")[2] for line in run("audit").stdout.splitlines()] == [
        "applied  flag.override by ann (false_positive)  tenant acme  note: shared tablet  fl_1  x -> y  k  t:a  "
        f"still open on the same subject: fl_2  new correlation id: {guid(2)}",
        "applied  correlation.reset by ann (false_positive)  cleared: t:b",
        "applied  settings.update by ann (false_positive)  tenant acme  "
        "switched: rule: active yes; sessions: attempts 2, liveness_challenges blink smile",
        "refused  - by ann (false_positive)  note: twice  UNKNOWN_FLAG",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        *({"flags": value} for value in (7, None, ["x"], [{}], [{"flag_id": "x"}])),
        *({"cleared": value} for value in (7, {}, {"type": 7, "key": 7})),
        *({"still_open": value} for value in (7, [7])),
        {"new_correlation_id": 7},
    ],
)
def test_malformed_changes(topic, changed):
    topic.append(orjson.dumps(rehashed(chain(1)[0], changed=changed)))
    result = run("audit")
    assert result.exception.__class__ is SystemExit
    assert result.stdout.endswith("  what it changed can't be read\n")


def test_hostile_audit_entries(topic):
    for name in ("chain", "actor", "reason", "note", "command", "outcome", "at", "command_id"):
        topic.append(orjson.dumps(rehashed(chain(1)[0], **{name: ESCAPE})))
    topic.append(orjson.dumps(rehashed(chain(1)[0], error={"code": ESCAPE})))
    topic.append(orjson.dumps(rehashed(chain(1)[0], tenant=ESCAPE, changed={"after": {ESCAPE: ESCAPE}})))
    topic.append(orjson.dumps(rehashed(chain(1)[0], changed={"cleared": {"type": ESCAPE, "key": ESCAPE}})))
    result = run("audit")
    assert (result.exit_code, harmless(result.output)) == (1, True)


# The rules


def rules(*words: str) -> dict[str, dict[str, Any]]:
    result = run("rules", "--json", *words)
    assert result.exit_code == 0
    return {rule["rule"]: rule for rule in map(orjson.loads, result.stdout.splitlines())}


def test_rules_by_policy_of_settings(monkeypatch, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text("[abuse.device_velocity]\nactive = false\n")
    monkeypatch.setenv("LIVENESS_POLICY_FILE", str(file))
    shown, by_policy = rules(), {"active": False, "enforced": False}
    assert tuple(shown) == RULE_NAMES
    assert shown["device_velocity"] == {"rule": "device_velocity", **by_policy, "policy": by_policy, "switched": {}}
    assert shown["excessive_retries"]["enforced"] is True


def test_switch_of_one_tenant(in_memory):
    asyncio.run(in_memory.ledger.switch("acme", {"device_velocity": {"enforced": True}, "forgotten": {"active": True}}))
    switched = rules("--tenant", "acme")
    assert tuple(switched) == RULE_NAMES
    rule = switched.pop("device_velocity")
    assert (rule["active"], rule["enforced"], rule["policy"]["enforced"]) == (True, True, False)
    assert rule["switched"] == {"enforced": True}
    without = rules()
    assert without.pop("device_velocity")["switched"] == {}
    assert switched == without


def test_line_of_switched_rule(in_memory):
    asyncio.run(in_memory.ledger.switch(None, {"device_velocity": {"active": False}}))
    lines = {line.split()[0]: line for line in run("rules").stdout.splitlines()}
    words = " ".join(lines["device_velocity"].split())
    assert words == "device_velocity active no enforced no switched; policy: active yes, enforced no"
    assert " ".join(lines["excessive_retries"].split()) == "excessive_retries active yes enforced yes"
