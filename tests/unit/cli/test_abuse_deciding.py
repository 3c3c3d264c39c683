"""`liveness abuse`: names of targets, commands sent, exit codes."""

from __future__ import annotations

import json
from itertools import cycle

import orjson
import pytest
import typer

from abuse.event_time import iso8601
from abuse.networks.networks import no_networks
from abuse.origins import OriginReader
from abuse.subjects import SubjectType
from config import settings as configuration
from stream.bootstrap.abuse import hasher
from stream.cli.abuse.target import named
from stream.review.command_client import NoAnswer
from stream.review.commands import InvalidCommand, read
from stream.review.kinds.base import Command
from tests.instants import NOW_MS
from tests.unit.abuse.builders import guid, subject
from tests.unit.cli.abuse_cases import ESCAPE, harmless, run, said
from tests.unit.cli.conftest import KEYS, applied
from tests.unit.stream.review.command_cases import FLAG_ID, record, sent

pytestmark = pytest.mark.usefixtures("in_memory")

ADDRESS = "203.0.113.77"


# Targets


def test_flag_correlation_id_and_hashed_key():
    settings = configuration.load()
    assert named(FLAG_ID, None, settings).fields == {"flag_id": FLAG_ID}
    ids = [(each, "correlation_id", guid(0xAB)) for each in (guid(0xAB).upper(), guid(0xAB).replace("-", ""))]
    hashed = [subject(kind, 7) for kind in (SubjectType.DEVICE, SubjectType.ADDRESS, SubjectType.PREFIX)]
    for written, kind, key in (*ids, *((f"{one.type}:{one.key}", str(one.type), one.key) for one in hashed)):
        what = named(written, None, settings)
        assert what.fields == {"subject": {"type": kind, "key": key, "former": []}}


def test_raw_address_under_former_keys(monkeypatch):
    new = {"id": "k2", "secret": "2" * 32, "since": "2020-01-01T00:00:00Z"}
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps([*json.loads(KEYS), new]))
    long_ago = named(f"address:{ADDRESS}", None, configuration.load()).fields["subject"]
    assert long_ago["former"] == []
    recent = new | {"since": iso8601(NOW_MS - 60_000)}
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", json.dumps([*json.loads(KEYS), recent]))
    fields = named(f"address:{ADDRESS}", None, configuration.load()).fields["subject"]
    assert fields["key"].startswith("k2-")
    assert [key[:3] for key in fields["former"]] == ["k1-"]


@pytest.mark.parametrize("tenant", [None, "acme"])
@pytest.mark.parametrize("address", [ADDRESS, "::ffff:203.0.113.77", "2001:DB8::7", "2001:db8:0:0:0:0:0:7"])
def test_hashed_as_by_workers(keys, tenant, address):
    settings = configuration.load()
    reader = OriginReader(hasher(settings, settings.policy()), no_networks())
    origin = reader.origin(tenant, device_id="Phone: 7", client_ip=address, expected=None, at_ms=NOW_MS)
    for text, theirs in (
        (f"address:{address}", origin.address),
        (f"prefix:{address}", origin.prefix),
        ("device:Phone: 7", origin.device),
    ):
        assert named(text, tenant, settings).subject == theirs


def test_prefix_with_length(keys):
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
def test_wrong_target_not_quoted(keys, text):
    with pytest.raises(typer.BadParameter) as error:
        named(text, None, configuration.load())
    assert not any(part in str(error.value) for part in ("203.0.113", "zebra"))
    result = run("show", text)
    assert result.exit_code == 2
    assert "203.0.113" not in result.output.replace(str(error.value), "")


FLAG_WORDS, ADDRESS_WORDS = "a flag id is fl_ and 24 hexadecimal digits", "as in address:192.0.2.1"
#: Target -> what is said of it, and whether hash keys are asked for where there are none.
WRONG_TARGETS = {
    **{f"{kind}:{ADDRESS}": ("can only be found with", True) for kind in ("address", "device", "prefix")},
    **dict.fromkeys(("fl_nope", FLAG_ID[:-1], "fl" + FLAG_ID[2:].upper(), FLAG_ID + "0"), (FLAG_WORDS, False)),
    **dict.fromkeys(("8.8.8.8", "2001:4860:4860::8888"), (ADDRESS_WORDS, True)),
}


@pytest.mark.parametrize(("text", "told", "keys_asked_for"), [(text, *told) for text, told in WRONG_TARGETS.items()])
def test_wrong_target_is_explained(text, told, keys_asked_for, monkeypatch):
    result = run("show", text)
    assert (result.exit_code, told in said(result)) == (2, True)
    assert ("LIVENESS_ABUSE__HASH_KEYS" in said(result)) is keys_asked_for
    assert text.rpartition(":")[2] not in said(result) or told == FLAG_WORDS
    monkeypatch.setenv("LIVENESS_ABUSE__HASH_KEYS", KEYS)
    assert "LIVENESS_ABUSE__HASH_KEYS" not in said(run("show", text))


# Deciding


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
def test_command_sent(asked, words, key):
    result = run(*words, *WHO, "--tenant", "acme", "--note", "print, twice", "--command-id", "c-7")
    assert result.exit_code == 0, result.output
    ((command, sent_key),) = asked
    assert sent_key == key
    taken = read(record(orjson.dumps(command)))
    assert isinstance(taken, Command)
    assert (taken.command_id, taken.actor, taken.reason, taken.tenant) == ("c-7", "ann", "known_fraud", "acme")
    assert taken.note == "print, twice"
    assert taken.name.split(".")[1].startswith({"switch": "update"}.get(words[0], words[0]))


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


#: option -> the longest text that workers take, and some that they don't.
OPTIONS = {
    "--actor": ("!" * 256, ["", "a b", "Z\u00ebbra", "z" * 257, "zebra\n"]),
    "--reason": ("z" * 64, ["", "Zebra", "a-zebra", "z" * 65, "zebra\n"]),
    "--note": ("z" * 1000, ["z" * 1001, "a\nzebra", "\x1b[31mzebra", "\x9b31m", "zebra\udc80"]),
    "--tenant": ("z" * 64, ["", "a zebra", "z\u00ebbra", "z" * 65, "zebra/"]),
    "--command-id": ("~" * 128, ["", "a zebra", "z" * 129, "zebra\n"]),
}
SENT = [("confirm", FLAG_ID), ("override", guid(1)), ("reset", guid(1)), ("switch", "device_velocity", "--active")]


#: Each option with each command, by turns.
WRONG_OPTIONS = [(words, name, text) for name, (_, bad) in OPTIONS.items() for words, text in zip(cycle(SENT), bad)]


@pytest.mark.parametrize(("words", "option", "text"), WRONG_OPTIONS)
def test_invalid_option_not_sent(asked, words, option, text):
    result = run(*words, *WHO, option, text)
    assert (result.exit_code, asked) == (2, [])
    assert f"Invalid value for '{option}': expected " in said(result)
    assert "ebra" not in result.output
    field = option.removeprefix("--").replace("-", "_")
    if text.isprintable() and field != "command_id":
        assert isinstance(read(sent(flag_id=FLAG_ID, **{field: text})), InvalidCommand)


@pytest.mark.parametrize("words", SENT, ids=lambda words: words[0])
def test_longest_options_sent(asked, words):
    longest = [word for option, (text, _) in OPTIONS.items() for word in (option, text)]
    assert run(*words, *longest).exit_code == 0
    assert isinstance(read(record(orjson.dumps(asked[0][0]))), Command)


@pytest.mark.parametrize(("tenant", "ending"), [("acme", "  tenant acme"), (None, "")])
def test_switch_shown_with_tenant(asked, tenant, ending):
    asked.answer = applied(tenant=tenant, changed={"before": {}, "after": {"device_velocity": {"enforced": True}}})
    result = run("switch", "device_velocity", "--enforced", *WHO)
    assert f"switched: device_velocity: enforced yes{ending}" in result.output.splitlines()


def test_refused_command_is_failure(asked):
    asked.answer = applied(outcome="refused", error={"code": "FLAG_EXPIRED", "message": f"over {ESCAPE}"})
    result = run("confirm", FLAG_ID, *WHO)
    assert (result.exit_code, harmless(result.output)) == (1, True)
    assert "FLAG_EXPIRED" in result.output
    assert run("confirm", FLAG_ID, *WHO, "--json").exit_code == 1


def test_no_answer_is_failure(asked):
    """The message tells how to send the same command again."""
    asked.answer = NoAnswer("no answer within 1 s")
    result = run("confirm", FLAG_ID, *WHO, "--command-id", "c-7")
    assert (result.exit_code, "--command-id c-7" in said(result)) == (1, True)


def test_hostile_answer_shown_harmless(asked):
    change = {"flag_id": ESCAPE, "kind": ESCAPE, "subject": {"type": ESCAPE, "key": ESCAPE}, "from": ESCAPE, "to": "x"}
    changed = {"flags": [change], "still_open": [ESCAPE], "new_correlation_id": ESCAPE, "after": {ESCAPE: {}}}
    asked.answer = applied(changed=changed, number=ESCAPE, chain=ESCAPE)
    result = run("override", FLAG_ID, *WHO)
    assert (result.exit_code, harmless(result.output)) == (0, True)
