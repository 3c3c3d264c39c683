"""`liveness abuse erase`, `retention` and `rekey`: commands sent, words printed, exit codes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from abuse.store_time import StillTime
from config.errors import Unavailable
from stream.cli.abuse import rekeying, view
from stream.maintenance.rekeying import EMPTIED, Rekeyed
from stream.review.commands import read
from stream.review.kinds.subjects import EraseSubject
from stream.runtime.patience import DependencyTimeout
from tests.instants import NOW_MS
from tests.unit.abuse.builders import guid
from tests.unit.cli.abuse_cases import ESCAPE, harmless, run, said
from tests.unit.cli.conftest import KEYS, Asked, applied
from tests.unit.stream.review.command_cases import FLAG_ID, record

pytestmark = pytest.mark.usefixtures("in_memory")

WHO = ("--actor", "ann", "--reason", "request")
RECEIPT: dict[str, Any] = {
    "subject": {"type": "correlation_id", "sha256": ["ab" * 32]},
    "erased": {"journal_lines": 5, "flags": 1},
    "kept": [{"store": "liveness.submissions", "until": "2026-01-01T00:00:00Z"}, {"store": "audit", "until": None}],
}


@pytest.fixture
def answered(asked: Asked) -> Asked:
    asked.answer = applied(changed=RECEIPT)
    return asked


def test_erasure_sent_and_receipt_shown(answered):
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


def test_address_is_hashed(answered, keys):
    assert run("erase", "address:203.0.113.7", *WHO).exit_code == 0
    ((sent, key),) = answered
    assert key.startswith("k1-")
    assert "203.0.113.7" not in json.dumps(sent)


def test_other_secret_erases_nothing(answered, keys, in_memory):
    in_memory.secrets.stored["k1"] = "another's"
    ran = run("erase", "address:203.0.113.7", *WHO)
    assert "the secret of key k1" in str(ran.exception)
    assert answered == []


def test_secrets_not_compared_without_redis(answered, keys, monkeypatch, in_memory):
    async def away(_: Any) -> dict[str, str]:
        raise DependencyTimeout("redis did not answer")

    monkeypatch.setattr(in_memory.secrets, "peek", away)
    ran = run("erase", "address:203.0.113.7", *WHO)
    assert "could not be checked: redis did not answer" in said(ran)
    assert len(answered) == 1


@pytest.mark.parametrize(
    "words", [(guid(7),), *((text, *WHO) for text in (FLAG_ID, "203.0.113.7", "somebody", "fl_1"))]
)
def test_wrong_use_erases_nothing(answered, words):
    assert run("erase", *words).exit_code == 2
    assert answered == []


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_erase(answered, monkeypatch, count):
    monkeypatch.setitem(RECEIPT, "erased", {"journal_lines": count, "flags": 0})
    ran = run("erase", guid(7), *WHO, "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["changed"]) == (0, RECEIPT)
    assert ("nothing was there" in ran.stderr) is ("--tenant" in ran.stderr) is (count == 0)


def test_brief_receipt(answered, monkeypatch):
    (counts, kept) = (change.plain for change in view.changes(RECEIPT, brief=True))
    assert counts == "erased: 5 journal lines, 1 flags"
    assert kept == "kept in 2 places (--json says which)"
    assert len(list(view.changes(RECEIPT))) == 3
    monkeypatch.setitem(RECEIPT, "kept", [{"store": ESCAPE, "until": ESCAPE}])
    assert harmless(run("erase", guid(7), *WHO).stdout)


def test_retention_shown(monkeypatch):
    monkeypatch.setenv("LIVENESS_KAFKA__TOPIC_PREFIX", "mine.")
    monkeypatch.setenv("LIVENESS_REDIS__DECISION_TTL_S", "7200")
    people, programs = run("retention"), run("retention", "--json")
    lines = [json.loads(line) for line in programs.stdout.splitlines()]
    assert {line["place"] for line in lines} == {"memory", "kafka", "redis"}
    decision = next(line for line in lines if line["store"] == "mine.liveness:decision")
    held = {"holds": "decisions, for duplicates", "personal": "pseudonymous", "erased": True}
    assert decision.items() >= {**held, "place": "redis", "life_s": 7200, "after": "it was made"}.items()
    assert all(line["store"] in people.stdout.replace("\n", "") for line in lines)
    assert "2 hours after it was made" in said(people)


def test_rekeying_needs_keys():
    assert "LIVENESS_ABUSE__HASH_KEYS" in str(run("rekey").exception)


@pytest.fixture
def rekeyed(monkeypatch: pytest.MonkeyPatch, keys: None) -> list[Any]:
    """Tenants of each re-keying, which moves nothing and finds the workers' secrets to be the same."""
    asked: list[Any] = []

    async def agreed(*_: Any) -> None: ...

    async def run_it(self: Any, now_ms: int, of: Any = None) -> Rekeyed:
        asked.append(of)
        return Rekeyed(key=self.keys.in_force(now_ms), **DONE)

    monkeypatch.setattr(rekeying, "agree_on_secrets", agreed)
    monkeypatch.setattr(rekeying, "RedisTime", lambda calls: StillTime(NOW_MS))
    monkeypatch.setattr(rekeying.Rekeying, "run", run_it)
    return asked


DONE = {"tenants": 1, "moved": 4, "current": 2, "lost": 3, "waiting": 1}


@pytest.mark.parametrize(("words", "tenants"), [((), None), (("--tenant", "acme"), ["acme"])])
def test_rekeying_shown(rekeyed, words, tenants):
    assert json.loads(run("rekey", "--json", *words).stdout) == {"key": "k1", **DONE}
    shown = said(run("rekey", *words))
    for sentence in (
        "4 faces moved to key k1",
        "1 of a correlation id erased minutes ago wait",
        "Nobody finds these 3: add their key to LIVENESS_ABUSE__HASH_KEYS again",
    ):
        assert sentence in shown
    assert "is not before" not in shown
    assert rekeyed == [tenants] * 2


def test_rekeying_of_an_emptied_redis(rekeyed, monkeypatch):
    async def emptied(*_: Any) -> Rekeyed:
        raise Unavailable("redis", EMPTIED)

    monkeypatch.setattr(rekeying.Rekeying, "run", emptied)
    ran = run("rekey")
    assert isinstance(ran.exception, DependencyTimeout), "one line, and no traceback"
    assert "liveness abuse rebuild" in str(ran.exception)


@pytest.mark.parametrize(
    ("since", "key", "early"), [("2999-01-01T00:00:00+00:00", "k1", True), ("2020-01-01T00:00:00+00:00", "k2", False)]
)
def test_rekeying_before_new_key(rekeyed, monkeypatch, since, key, early):
    monkeypatch.setitem(DONE, "lost", 0)
    keys = [{"id": "k2", "secret": "2" * 32, "since": since}, *json.loads(KEYS)]
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps(keys))
    shown = said(run("rekey"))
    assert f"faces moved to key {key}" in shown
    assert (f"key k1 is in force; k2 is not before {since}" in shown) is ("is not before" in shown) is early
    assert "Nobody finds" not in shown
