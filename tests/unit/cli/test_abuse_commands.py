"""`liveness abuse`: how targets are named, what people see of hostile text, and exit codes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from abuse.audit import InMemoryAuditLog, InMemoryCommandLog, head_after
from abuse.ledger import InMemoryLedger
from abuse.networks import no_networks
from abuse.origins import OriginReader
from abuse.subjects import SubjectType
from config import settings as configuration
from stream import cli
from stream.bootstrap import hasher
from stream.cli.abuse import audit as audit_command
from stream.cli.abuse import deciding, looking, view
from stream.cli.abuse.table import Table
from stream.cli.abuse.target import named
from stream.command_client import NoAnswer
from stream.commands import Command, read
from stream.messages import Record
from stream.patience import Patience
from tests.unit.abuse.builders import guid, subject
from tests.unit.abuse.test_audit import chain, rehashed
from tests.unit.stream.command_cases import FLAG_ID, flag_events, record

SECRET_KEY = "a-secret-of-the-tests-and-of-nobody-else"
KEYS = json.dumps([{"id": "k1", "secret": SECRET_KEY}])
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e"
ADDRESS = "203.0.113.77"
NOW_MS = 1_750_000_000_000


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table that every command finds."""
    made = Table(ledger=InMemoryLedger(), audit=InMemoryAuditLog(), commands=InMemoryCommandLog(), patience=Patience())

    @asynccontextmanager
    async def opened(settings: object) -> AsyncIterator[Table]:
        yield made

    for module in (audit_command, deciding, looking):
        monkeypatch.setattr(module, "table", opened)
    return made


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["abuse", *words])


def harmless(text: str) -> bool:
    """Nothing a terminal would obey, and no line but those we wrote."""
    return all(c.isprintable() or c == "\n" for c in text)


# Targets


def test_flags_and_correlation_ids_are_named_by_themselves():
    settings = configuration.load()
    assert named(FLAG_ID, None, settings).fields == {"flag_id": FLAG_ID}
    for written in (guid(0xAB), guid(0xAB).upper(), guid(0xAB).replace("-", "")):
        what = named(written, None, settings)
        assert what.fields == {"subject": {"type": "correlation_id", "key": guid(0xAB), "former": []}}


@pytest.mark.parametrize("kind", [SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX])
def test_a_hashed_key_is_taken_as_it_is_even_without_hash_keys(kind):
    key = subject(kind, 7).key
    what = named(f"{kind}:{key}", None, configuration.load())
    assert what.fields == {"subject": {"type": str(kind), "key": key, "former": []}}


def test_a_raw_address_is_named_under_former_keys_too(monkeypatch):
    new = {"id": "k2", "secret": SECRET_KEY * 2, "since": "2020-01-01T00:00:00Z"}
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps([*json.loads(KEYS), new]))
    settings = configuration.load()
    assert named(f"address:{ADDRESS}", None, settings).fields["subject"]["former"] == []  # replaced long ago
    recent = new | {"since": datetime.fromtimestamp(time.time() - 60, UTC).isoformat()}
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps([*json.loads(KEYS), recent]))
    fields = named(f"address:{ADDRESS}", None, configuration.load()).fields["subject"]
    assert fields["key"].startswith("k2-")
    assert [key[:3] for key in fields["former"]] == ["k1-"]


@pytest.mark.parametrize("tenant", [None, "acme"])
@pytest.mark.parametrize("address", [ADDRESS, "::ffff:203.0.113.77", "2001:DB8::7", "2001:db8:0:0:0:0:0:7"])
def test_a_raw_address_or_device_is_hashed_as_the_worker_does_it(keys, tenant, address):
    settings = configuration.load()
    reader = OriginReader(hasher(settings, settings.policy()), no_networks())
    origin = reader.origin(tenant, device_id="Phone: 7", client_ip=address, expected=None, at_ms=NOW_MS)
    for text, theirs in (
        (f"address:{address}", origin.address),
        (f"prefix:{address}", origin.prefix),
        ("device:Phone: 7", origin.device),
    ):
        assert named(text, tenant, settings).subject == theirs


def test_a_prefix_may_be_written_with_its_length(keys):
    settings = configuration.load()
    assert named("prefix:203.0.113.0/24", None, settings) == named(f"prefix:{ADDRESS}", None, settings)
    with pytest.raises(typer.BadParameter):
        named("prefix:203.0.113.0/16", None, settings)


@pytest.mark.parametrize(
    "text",
    [
        *("203.0.113.77", "ip:203.0.113.77", "face:203.0.113.77", "address:203.0.113.777", "address:", "prefix:zebra"),
        *("address:203.0.113.77/24", "fl_203.0.113.77", "ADDRESS:203.0.113.77", "", " "),
    ],
)
def test_what_names_nothing_is_wrong_use_and_not_repeated(keys, text):
    with pytest.raises(typer.BadParameter) as told:
        named(text, None, configuration.load())
    assert "203.0.113" not in str(told.value)
    assert "zebra" not in str(told.value)
    result = run("show", text)
    assert result.exit_code == 2
    assert "203.0.113" not in result.output.replace(str(told.value), "")


@pytest.mark.parametrize("kind", ["address", "device", "prefix"])
def test_without_hash_keys_nothing_raw_can_be_named(kind):
    result = run("show", f"{kind}:{ADDRESS}")
    assert result.exit_code == 2
    assert "LIVENESS_ABUSE__HASH_KEYS" in result.output
    assert ADDRESS not in result.output


# Deciding


def answer(**changes: Any) -> dict[str, Any]:
    return {**chain(1)[0], "outcome": "applied", "error": None, "changed": {}, **changes}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str]]:
    """What is sent, and by which key; answered as applied, or by what a test puts in front."""
    seen: list[tuple[dict[str, Any], str]] = []

    async def ask(settings: object, command: dict[str, Any], key: str, timeout_s: float) -> dict[str, Any]:
        seen.append((command, key))
        return answer()

    monkeypatch.setattr(deciding, "ask", ask)
    return seen


WHO = ("--actor", "ann", "--reason", "known_fraud")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("confirm", FLAG_ID), FLAG_ID),
        (("override", guid(1).upper()), guid(1)),
        (("override", f"address:{subject(SubjectType.ADDRESS, 1).key}"), subject(SubjectType.ADDRESS, 1).key),
        (("reset", guid(1).replace("-", "")), guid(1)),
        (("switch", "device_velocity", "--enforced", "--no-active"), "tenant acme"),
    ],
)
def test_what_is_sent_is_a_command_that_workers_take(asked, words, key):
    result = run(*words, *WHO, "--tenant", "acme", "--note", "print, twice", "--command-id", "c-7")
    assert result.exit_code == 0, result.output
    ((command, sent_key),) = asked
    assert sent_key == key
    taken = read(record(orjson.dumps(command)))
    assert isinstance(taken, Command)
    assert (taken.command_id, taken.actor, taken.reason, taken.tenant) == ("c-7", "ann", "known_fraud", "acme")
    assert taken.note == "print, twice"


def test_a_raw_address_is_never_sent(asked, keys):
    assert run("override", f"address:{ADDRESS}", *WHO).exit_code == 0
    assert ADDRESS not in repr(asked)


def test_every_command_has_an_id_of_its_own(asked):
    for _ in range(2):
        run("confirm", FLAG_ID, *WHO)
    assert len({command["command_id"] for command, _ in asked}) == 2


@pytest.mark.parametrize(
    "words",
    [
        *(("confirm", FLAG_ID), ("confirm", FLAG_ID, "--actor", "ann"), ("reset", "no-guid", *WHO)),
        *(("switch", "device_velocity", *WHO), ("switch", "no_rule", "--active", *WHO)),
        *(("confirm", FLAG_ID, *WHO, "--command-id", "a b"), ("confirm", FLAG_ID, *WHO, "--timeout", "0")),
    ],
)
def test_wrong_use_sends_nothing(asked, words):
    assert run(*words).exit_code == 2
    assert asked == []


def test_a_refusal_is_a_failure_and_says_why(monkeypatch):
    async def ask(*_: object) -> dict[str, Any]:
        return answer(outcome="refused", error={"code": "FLAG_EXPIRED", "message": f"over {ESCAPE}"})

    monkeypatch.setattr(deciding, "ask", ask)
    result = run("confirm", FLAG_ID, *WHO)
    assert (result.exit_code, harmless(result.output)) == (1, True)
    assert "FLAG_EXPIRED" in result.output
    assert run("confirm", FLAG_ID, *WHO, "--json").exit_code == 1


def test_no_answer_is_a_failure_and_tells_how_to_ask_again(monkeypatch):
    async def ask(*_: object) -> dict[str, Any]:
        raise NoAnswer("no answer within 1 s")

    monkeypatch.setattr(deciding, "ask", ask)
    result = run("confirm", FLAG_ID, *WHO, "--command-id", "c-7")
    assert result.exit_code == 1
    assert "--command-id c-7" in " ".join(result.output.split())


def test_hostile_text_in_an_answer_is_shown_harmless(monkeypatch):
    change = {"flag_id": ESCAPE, "kind": ESCAPE, "subject": {"type": ESCAPE, "key": ESCAPE}, "from": ESCAPE, "to": "x"}
    changed = {"flags": [change], "still_open": [ESCAPE], "new_correlation_id": ESCAPE, "after": {ESCAPE: {}}}

    async def ask(*_: object) -> dict[str, Any]:
        return answer(changed=changed, number=ESCAPE, chain=ESCAPE)

    monkeypatch.setattr(deciding, "ask", ask)
    result = run("override", FLAG_ID, *WHO)
    assert (result.exit_code, harmless(result.output)) == (0, True)


# Looking


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    values: list[bytes] = []

    class Source:
        async def until_end(self) -> AsyncIterator[Record]:
            for value in values:
                yield record(value)

    @asynccontextmanager
    async def reader(*_: object, from_start: bool) -> AsyncIterator[Source]:
        yield Source()

    for module in (audit_command, looking):
        monkeypatch.setattr(module, "reader", reader)
    return values


def hostile(event: dict[str, Any], value: object) -> list[dict[str, Any]]:
    """The event with each of its texts in turn replaced."""
    changed = [{**event, name: value} for name in event]
    for inner in ("subject", "evidence"):
        changed += [{**event, inner: {**event[inner], name: value}} for name in event[inner]]
    return changed


def test_flag_events_of_any_content_are_shown_harmless(topic):
    event = orjson.loads(flag_events()[0].document)
    for value in (ESCAPE, [ESCAPE], {ESCAPE: ESCAPE}, None, 7):
        topic += [orjson.dumps(each) for each in hostile(event, value)]
    topic += [b"", b"{", b"7", b"null", b"[]", b"{}"]
    result = run("watch", "--from-start", "--no-follow")
    assert (result.exit_code, harmless(result.output)) == (0, True)
    assert len(result.output.splitlines()) == len(topic)


def test_a_flag_is_shown_with_evidence_and_review_harmless(capsys):
    event = orjson.loads(flag_events()[0].document)
    linked = dict.fromkeys(("correlation_id", "session", "submission", "when", "why"), ESCAPE)
    event["evidence"] |= {"counts": {ESCAPE: ESCAPE}, "linked": [linked]}
    event["review"] = dict.fromkeys(("actor", "reason", "note", "command_id", "at"), ESCAPE)
    event["refusal"] = {"kind": ESCAPE, "until": ESCAPE, "from": ESCAPE}
    for enforced in (True, False):
        view.with_evidence({**event, "enforced": enforced})
    assert harmless(capsys.readouterr().out)


def test_a_line_says_what_it_is_about():
    line = view.line(orjson.loads(flag_events(level=2)[-1].document)).plain
    for word in ("escalated", "medium", "shadow", "attack_frequency", f"correlation_id:{guid(1)}", "8 of 8 in 86400 s"):
        assert word in line


def test_a_long_window_is_shown_in_full():
    event = orjson.loads(flag_events()[0].document)
    event["evidence"]["window_s"] = 2_592_000
    assert "2592000 s" in view.line(event).plain


# The trail


def test_a_whole_trail_is_success_and_a_broken_one_failure(topic):
    topic += [orjson.dumps(entry) for entry in chain(5)]
    assert run("audit").exit_code == 0
    del topic[2]
    result = run("audit")
    assert result.exit_code == 1
    assert "entry 3 is missing" in result.output


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"{", b"null", b"[]", b"{}", b"[" * 400 + b"]" * 400),
        orjson.dumps({name: held for name, held in chain(1)[0].items() if name != "error"}),
        orjson.dumps(rehashed(chain(1)[0], number=0)),
        orjson.dumps(rehashed(chain(1)[0], error="text")),
    ],
)
def test_a_record_that_is_no_entry_is_a_problem_and_no_crash(topic, value):
    topic += [*(orjson.dumps(entry) for entry in chain(3)), value]
    result = run("audit")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "1 records are no audit entries" in result.output


def test_entries_cut_off_the_end_are_missed(topic, in_memory):
    entries = chain(3)
    topic += [orjson.dumps(entry) for entry in entries[:2]]
    assert run("audit").exit_code == 0
    asyncio.run(in_memory.audit.restore(head_after(orjson.dumps(entries[2]))))
    result = run("audit")
    assert result.exit_code == 1
    assert "entry 3, its last, is missing" in result.output


def test_a_number_far_away_ends_soon(topic):
    topic += [orjson.dumps(rehashed(chain(1)[0], number=2**62))]
    assert run("audit").exit_code == 1


def test_hostile_text_in_the_trail_is_shown_harmless(topic):
    for name in ("chain", "actor", "reason", "note", "command", "outcome", "at", "command_id"):
        topic.append(orjson.dumps(rehashed(chain(1)[0], **{name: ESCAPE})))
    topic.append(orjson.dumps(rehashed(chain(1)[0], error={"code": ESCAPE})))
    result = run("audit")
    assert (result.exit_code, harmless(result.output)) == (1, True)
