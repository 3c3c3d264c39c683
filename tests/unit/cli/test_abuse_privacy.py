"""`liveness abuse erase`, `retention` and `rekey`: what is sent, what is printed, exit codes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from stream.cli.abuse import deciding, rekeying, view
from stream.maintenance.rekeying import Rekeyed
from stream.review.commands import read
from stream.review.kinds.erase_subject import EraseSubject
from stream.runtime.patience import DependencyTimeout
from tests.unit.abuse.builders import guid
from tests.unit.cli.abuse_cases import ESCAPE, harmless, run, said
from tests.unit.stream.review.command_cases import FLAG_ID, record

pytestmark = pytest.mark.usefixtures("in_memory")

KEYS = json.dumps([{"id": "k1", "secret": "a-secret-of-the-tests-and-of-nobody-else"}])
WHO = ("--actor", "ann", "--reason", "request")
RECEIPT: dict[str, Any] = {
    "subject": {"type": "correlation_id", "sha256": ["ab" * 32]},
    "erased": {"journal_lines": 5, "flags": 1},
    "kept": [{"store": "liveness.submissions", "until": "2026-01-01T00:00:00Z"}, {"store": "audit", "until": None}],
}


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str]]:
    """What was sent, with its key; answered by a receipt."""
    sent: list[tuple[dict[str, Any], str]] = []

    async def ask(settings: Any, command: dict[str, Any], key: str, timeout_s: float) -> dict[str, Any]:
        sent.append((command, key))
        return {"outcome": "applied", "error": None, "changed": RECEIPT, "tenant": None, "number": 3, "chain": "c"}

    monkeypatch.setattr(deciding, "ask", ask)
    return sent


def test_a_correlation_id_is_sent_as_workers_read_it_and_the_receipt_is_printed(answered):
    ran = run("erase", guid(7).upper(), *WHO, "--note", "by letter", "--tenant", "acme", "--command-id", "e-1")
    assert ran.exit_code == 0
    ((sent, key),) = answered
    assert key == guid(7)
    command = read(record(orjson.dumps(sent)))
    assert isinstance(command, EraseSubject)
    assert (command.tenant, command.note, command.subject.key) == ("acme", "by letter", guid(7))
    words = said(ran)
    assert "erased: 5 journal lines, 1 flags" in words
    assert "kept until 2026-01-01T00:00:00Z: liveness.submissions" in words
    assert "kept for ever: audit" in words


def test_as_json_it_is_the_audit_entry(answered):
    ran = run("erase", guid(7), *WHO, "--json")
    assert json.loads(ran.stdout)["changed"] == RECEIPT


def test_an_address_is_hashed_here(answered, monkeypatch):
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)
    assert run("erase", "address:203.0.113.7", *WHO).exit_code == 0
    ((sent, key),) = answered
    assert key.startswith("k1-")
    assert "203.0.113.7" not in json.dumps(sent)


def test_nothing_is_erased_under_another_secret_than_the_workers(answered, monkeypatch, in_memory):
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)
    in_memory.secrets.stored["k1"] = "another's"
    ran = run("erase", "address:203.0.113.7", *WHO)
    assert "the secret of key k1" in str(ran.exception)
    assert answered == []


def test_without_redis_it_is_said_that_secrets_were_not_compared(answered, monkeypatch, in_memory):
    async def away(_: Any) -> dict[str, str]:
        raise DependencyTimeout("redis did not answer")

    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)
    monkeypatch.setattr(in_memory.secrets, "peek", away)
    ran = run("erase", "address:203.0.113.7", *WHO)
    assert "could not be checked: redis did not answer" in said(ran)
    assert len(answered) == 1


@pytest.mark.parametrize("target", [FLAG_ID, "203.0.113.7", "somebody", "fl_1"])
def test_what_is_no_subject_is_wrong_use(answered, target):
    ran = run("erase", target, *WHO)
    assert ran.exit_code == 2
    assert answered == []


def test_who_and_why_must_be_said(answered):
    assert run("erase", guid(7)).exit_code == 2
    assert answered == []


def test_where_nothing_was_it_is_said(answered, monkeypatch):
    assert "nothing was there" not in said(run("erase", guid(7), *WHO))
    monkeypatch.setitem(RECEIPT, "erased", {"journal_lines": 0, "flags": 0})
    ran = run("erase", guid(7), *WHO, "--json")
    assert ran.exit_code == 0
    assert "nothing was there" in ran.stderr
    assert "--tenant" in ran.stderr
    assert json.loads(ran.stdout)["changed"] == RECEIPT


def test_its_help_offers_no_flag_id():
    assert "fl_" not in said(run("erase", "--help"))
    assert "fl_" in said(run("show", "--help"))


def test_a_trail_shows_a_receipt_without_every_place_that_keeps_something():
    (counts, kept) = (change.plain for change in view.changes(RECEIPT, brief=True))
    assert counts == "erased: 5 journal lines, 1 flags"
    assert kept == "kept in 2 places (--json says which)"
    assert len(list(view.changes(RECEIPT))) == 3


def test_hostile_receipts_are_harmless(answered, monkeypatch):
    monkeypatch.setitem(RECEIPT, "kept", [{"store": ESCAPE, "until": ESCAPE}])
    assert harmless(run("erase", guid(7), *WHO).stdout)


def test_retention_shows_every_place_for_people_and_programs(monkeypatch):
    monkeypatch.setenv("LIVENESS_KAFKA__TOPIC_PREFIX", "mine.")
    monkeypatch.setenv("LIVENESS_REDIS__DECISION_TTL_S", "7200")
    people, programs = run("retention"), run("retention", "--json")
    lines = [json.loads(line) for line in programs.stdout.splitlines()]
    assert {line["place"] for line in lines} == {"memory", "kafka", "redis"}
    decision = next(line for line in lines if line["store"] == "mine.liveness:decision")
    assert decision == {
        "store": "mine.liveness:decision",
        "place": "redis",
        "holds": "decisions, for duplicates",
        "personal": "pseudonymous",
        "life_s": 7200,
        "after": "it was made",
        "erased": True,
    }
    assert all(line["store"] in people.stdout.replace("\n", "") for line in lines)
    assert "2 hours after it was made" in said(people)


def test_rekeying_needs_keys():
    ran = run("rekey")
    assert ran.exit_code != 0
    assert "LIVENESS_ABUSE__HASH_KEYS" in str(ran.exception)


@pytest.fixture
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose secrets would have to be the same."""

    async def agreed(*_: Any) -> None: ...

    monkeypatch.setattr(rekeying, "agree_on_secrets", agreed)


@pytest.mark.usefixtures("nobody_else")
@pytest.mark.parametrize(("words", "tenants"), [((), None), (("--tenant", "acme"), ["acme"])])
def test_rekeying_says_what_it_did(monkeypatch, words, tenants):
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)
    asked = []

    async def run_it(self: Any, now_ms: int, of: Any = None) -> Rekeyed:
        asked.append(of)
        return Rekeyed(key="k1", tenants=1, moved=4, current=2, lost=3, waiting=1)

    monkeypatch.setattr(rekeying.Rekeying, "run", run_it)
    assert json.loads(run("rekey", "--json", *words).stdout) == {
        "key": "k1",
        "tenants": 1,
        "moved": 4,
        "current": 2,
        "lost": 3,
        "waiting": 1,
    }
    told = said(run("rekey", *words))
    assert "4 faces moved to key k1" in told
    assert "1 of a correlation id erased minutes ago wait" in told
    assert "Nobody finds these 3: add their key to LIVENESS_ABUSE__HASH_KEYS again" in told
    assert "is not before" not in told
    assert asked == [tenants] * 2


@pytest.mark.usefixtures("nobody_else")
def test_rekeying_before_the_new_keys_time_says_that_it_is_too_early(monkeypatch):
    async def run_it(self: Any, now_ms: int, of: Any = None) -> Rekeyed:
        return Rekeyed(key=self.keys.in_force(now_ms))

    keys = [{"id": "k2", "secret": "2" * 32, "since": "2999-01-01T00:00:00Z"}, *json.loads(KEYS)]
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps(keys))
    monkeypatch.setattr(rekeying.Rekeying, "run", run_it)
    told = said(run("rekey"))
    assert "key k1 is in force; k2 is not before 2999-01-01T00:00:00+00:00" in told
    assert "Nobody finds" not in told
    keys[0]["since"] = "2020-01-01T00:00:00Z"
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps(keys))
    told = said(run("rekey"))
    assert "0 faces moved to key k2" in told
    assert "is not before" not in told
