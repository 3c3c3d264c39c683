"""From a record of the commands topic to a command: what is taken, what is answered as invalid, what is set aside."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abuse.review.reviews import RefusalCode
from abuse.subjects import SubjectType
from config.abuse import RULE_NAMES
from stream.events.messages import UNREADABLE_BATCH_HEADER, Poison
from stream.review import commands
from stream.review.commands import MAX_COMMAND_BYTES, Command, CommandName, InvalidCommand
from tests.unit.abuse.builders import guid, subject
from tests.unit.stream.builders import JSON_TYPE, SECRET, STRUCTURED_TYPE, ce_headers
from tests.unit.stream.review.command_cases import FLAG_ID, about, fields, record, sent

HASHED = about(subject(SubjectType.ADDRESS, 1))
REVIEW = {"command": "flag.confirm", "flag_id": FLAG_ID}
RESET = {"command": "correlation.reset", "correlation_id": guid(1)}
SETTINGS = {"command": "settings.update", "rules": {"device_velocity": {"enforced": True}}}
KINDS = [REVIEW, {"command": "flag.override", "subject": HASHED}, RESET, SETTINGS]


def read_fields(**changes: Any) -> Command | InvalidCommand | Poison:
    return commands.read(sent(**changes))


def refused(**changes: Any) -> str:
    """The message that a malformed command is answered with."""
    answer = read_fields(**changes)
    assert isinstance(answer, InvalidCommand)
    assert (answer.command_id, answer.code) == ("c-1", RefusalCode.INVALID_COMMAND)
    return answer.message


@pytest.mark.parametrize("what", KINDS)
def test_a_sound_command_is_read(what):
    command = read_fields(**what, note="print, twice", tenant="acme")
    assert isinstance(command, Command)
    assert (command.name, command.command_id, command.actor) == (CommandName(what["command"]), "c-1", "ann")
    assert (command.reason, command.note, command.tenant) == ("false_positive", "print, twice", "acme")


@pytest.mark.parametrize("note", ["x" * 1000, "\u00e9" * 1000, "\U0001f600" * 1000])
def test_the_longest_note_is_taken(note):
    assert read_fields(**REVIEW, note=note).note == note


@pytest.mark.parametrize("malformed", ["command", "actor", "reason", "note", "tenant", None])
def test_of_an_invalid_command_each_legal_word_is_kept(malformed):
    words = {"command": "flag.confirm", "actor": "ann", "reason": "known_fraud", "note": "print", "tenant": "acme"}
    command = read_fields(**{**words, **({malformed: f"{SECRET}\n"} if malformed else {})})
    assert isinstance(command, InvalidCommand)
    kept = [command.name, command.actor, command.reason, command.note, command.tenant]
    assert kept == [None if name == malformed else word for name, word in words.items()]


def test_note_and_tenant_may_be_left_out_or_empty():
    command = read_fields(**REVIEW, tenant=None)
    assert isinstance(command, Command)
    assert (command.note, command.tenant) == ("", None)


def test_what_a_command_is_about_is_read():
    by_flag, by_subject, reset, switches = (read_fields(**what) for what in KINDS)
    assert (by_flag.target.flag_id, by_flag.target.subject) == (FLAG_ID, None)
    assert by_subject.target.subject == subject(SubjectType.ADDRESS, 1)
    assert reset.correlation_id == guid(1)
    assert switches.switches == {"device_velocity": {"enforced": True}}


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actor", ...),
        ("actor", ""),
        ("actor", "a b"),
        ("actor", "Zebra\n"),
        ("actor", "x" * 257),
        ("actor", 7),
        ("actor", None),
        ("reason", ...),
        ("reason", "Zebra"),
        ("reason", "a-b"),
        ("reason", ""),
        ("reason", "x" * 65),
        ("note", 7),
        ("note", "x" * 1001),
        ("note", "\x1b[31mZebra"),
        ("note", "two\nlines"),
        ("note", "\x9b31m"),
        ("tenant", ""),
        ("tenant", "a b"),
        ("tenant", "x" * 65),
        ("tenant", "a\n"),
        ("tenant", ["Zebra"]),
    ],
)
def test_a_malformed_field_is_named_and_not_quoted(what, name, value):
    assert refused(**{**what, name: value}) == f"missing, unknown or malformed: {name}"


@pytest.mark.parametrize("what", KINDS)
def test_an_unknown_field_is_refused_and_its_name_not_quoted(what):
    assert refused(**what, **{SECRET: 1}) == "missing, unknown or malformed: an unknown field"


@pytest.mark.parametrize("value", [{}, [], 7, True, None, "", "flag.erase", SECRET, "FLAG.CONFIRM", "flag.confirm "])
def test_an_unknown_command_is_answered_as_such(value):
    answer = commands.read(record(orjson.dumps(fields() | {"command": value})))
    assert isinstance(answer, InvalidCommand)
    assert answer.code is RefusalCode.UNKNOWN_COMMAND
    assert SECRET not in answer.message


@pytest.mark.parametrize("value", [..., None, 7, "", "a b", "x" * 129, "Zebra\n", "\u00e9", ["c-1"], {"c": 1}])
def test_without_a_sound_command_id_nobody_can_be_answered(value):
    answer = read_fields(command_id=value, flag_id=FLAG_ID)
    assert isinstance(answer, Poison)
    assert answer.reason == commands.BAD_COMMAND
    assert "Zebra" not in answer.message


def test_the_longest_command_id_is_taken():
    assert isinstance(read_fields(command_id="!" * 128, flag_id=FLAG_ID), Command)


@pytest.mark.parametrize(
    "value",
    [
        *("", "fl_", FLAG_ID[:-1], FLAG_ID + "0", FLAG_ID.upper(), FLAG_ID + "\n", " " + FLAG_ID, "fl_" + "g" * 24),
        *(7, ["fl_"], {}),
    ],
)
@pytest.mark.parametrize("command", ["flag.confirm", "flag.override"])
def test_a_flag_id_of_another_shape_is_refused(command, value):
    assert refused(command=command, flag_id=value) == "missing, unknown or malformed: flag_id"


@pytest.mark.parametrize("target", [{}, {"flag_id": None}, {"flag_id": FLAG_ID, "subject": HASHED}])
@pytest.mark.parametrize("command", ["flag.confirm", "flag.override"])
def test_a_review_is_about_a_flag_or_a_subject(command, target):
    assert refused(command=command, **target).endswith("expected either flag_id or subject")


@pytest.mark.parametrize("kind", [kind for kind in SubjectType if kind is not SubjectType.CORRELATION_ID])
def test_a_hashed_subject_is_taken_by_its_key(kind):
    command = read_fields(subject=about(subject(kind, 9)))
    assert isinstance(command, Command)
    assert command.target.subject == subject(kind, 9)


@pytest.mark.parametrize(
    "written", [guid(1), guid(0xABC).upper(), guid(0xABC).replace("-", ""), guid(0xABC).replace("-", "").upper()]
)
def test_a_correlation_id_is_taken_in_any_form_and_kept_in_one(written):
    for command in (read_fields(**RESET | {"correlation_id": written}),):
        assert isinstance(command, Command)
        assert command.correlation_id in (guid(1), guid(0xABC))
    command = read_fields(subject={"type": "correlation_id", "key": written})
    assert isinstance(command, Command)
    assert command.target.subject.key in (guid(1), guid(0xABC))


NO_GUIDS = ["", "1", "{" + guid(1) + "}", "urn:uuid:" + guid(1), guid(1) + "\n", guid(1)[:-1], "0x" + guid(1)[2:], 7]


@pytest.mark.parametrize("value", NO_GUIDS)
def test_what_is_no_guid_is_refused(value):
    assert refused(**RESET | {"correlation_id": value}) == "missing, unknown or malformed: correlation_id"
    assert refused(subject={"type": "correlation_id", "key": value}) == "missing, unknown or malformed: subject"


@pytest.mark.parametrize(
    "value",
    [
        *({}, {"type": "address"}, {"key": HASHED["key"]}, {**HASHED, SECRET: 1}, "address", [HASHED], 7),
        *({"type": kind, "key": HASHED["key"]} for kind in ("Address", "ip", SECRET, "", None, 7, [], {})),
        *({"type": "address", "key": key} for key in ("203.0.113.7", SECRET, "k1-0", "", 7, None, "k1-" + "0" * 62)),
        {"type": "address", "key": HASHED["key"] + "\n"},
        {"type": "address", "key": HASHED["key"].upper()},
        {"type": "correlation_id", "key": HASHED["key"]},
        {"type": "device", "key": guid(1)},
    ],
)
def test_a_malformed_subject_is_refused_and_not_quoted(value):
    assert refused(subject=value) == "missing, unknown or malformed: subject"


@pytest.mark.parametrize("rule", RULE_NAMES)
@pytest.mark.parametrize("on", [{"active": True}, {"enforced": False}, {"active": False, "enforced": True}])
def test_each_rule_can_be_switched(rule, on):
    command = read_fields(command="settings.update", rules={rule: on})
    assert isinstance(command, Command)
    assert command.switches == {rule: on}


@pytest.mark.parametrize(
    "rules",
    [
        *(..., None, {}, [], 7, "device_velocity", {SECRET: {"active": True}}, {SECRET: {SECRET: True}}),
        *({"device_velocity": on} for on in (True, None, [], {"active": 1}, {"active": "true"}, {SECRET: True})),
        {"device_velocity": {"active": True}, "risk": {"active": True}},
        {"device_velocity": {"active": True}, "flag_ttl_s": {"active": True}},
    ],
)
def test_malformed_switches_are_refused_and_not_quoted(rules):
    assert refused(command="settings.update", rules=rules) == "missing, unknown or malformed: rules"


@pytest.mark.parametrize("on", [{}, {"active": None}, {"active": None, "enforced": None}])
def test_a_switch_that_switches_nothing_is_refused(on):
    assert refused(command="settings.update", rules={"device_velocity": on}).endswith("rules")


@pytest.mark.parametrize(
    ("one", "anothers"), [(REVIEW, "rules"), (RESET, "flag_id"), (SETTINGS, "correlation_id"), (REVIEW, "reset")]
)
def test_a_field_of_another_command_is_refused(one, anothers):
    assert refused(**one, **{anothers: FLAG_ID}) == "missing, unknown or malformed: an unknown field"


@pytest.mark.parametrize("headers", [(), (JSON_TYPE,), ce_headers(b"application/json", type="liveness.command.v1")])
def test_bare_and_binary_events_hold_the_command_itself(headers):
    assert isinstance(commands.read(record(orjson.dumps(fields(flag_id=FLAG_ID)), headers)), Command)


def structured(data: Any = ..., **attributes: Any) -> Command | InvalidCommand | Poison:
    event = {"specversion": "1.0", "type": "liveness.command.v1", "source": "/desk", "id": "e-1", **attributes}
    return commands.read(record(orjson.dumps(event if data is ... else {**event, "data": data}), (STRUCTURED_TYPE,)))


def test_a_structured_event_holds_the_command_as_its_data():
    assert structured(fields(flag_id=FLAG_ID)) == read_fields(flag_id=FLAG_ID)


@pytest.mark.parametrize("data", [..., None, [], "text", 7])
def test_a_structured_event_without_a_command_is_set_aside(data):
    assert isinstance(structured(data), Poison)


def test_a_structured_event_cannot_name_the_command_beside_its_data():
    assert isinstance(structured(None, **fields(flag_id=FLAG_ID)), Poison)


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            b"",
            b"{",
            b"null",
            b"[]",
            b"7",
            b'"text"',
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b'{"command_id": "\\ud800"}',
        ),
        *(b"[" * 60_000, b'{"a":' * 10_000, b"{}" * 2),
    ],
)
def test_what_is_no_json_object_is_set_aside(value):
    assert isinstance(commands.read(record(value)), Poison)


def test_of_a_field_that_comes_twice_the_last_counts():
    value = orjson.dumps(fields(flag_id=FLAG_ID))[:-1] + b', "command_id": "c-2"}'
    assert commands.read(record(value)).command_id == "c-2"


def padded(length: int) -> bytes:
    bare = orjson.dumps(fields(flag_id=FLAG_ID))
    return bare + b" " * (length - len(bare))


def test_the_limit_of_size_is_exact():
    assert isinstance(commands.read(record(padded(MAX_COMMAND_BYTES))), Command)
    assert isinstance(commands.read(record(padded(MAX_COMMAND_BYTES + 1))), Poison)


def test_what_is_too_large_is_not_even_parsed():
    value = b'{"command_id":"c-1","x":[' + b"[]," * 5_000_000 + b"[]]}"
    tracemalloc.start()
    try:
        assert isinstance(commands.read(record(value)), Poison)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_the_stand_in_for_an_unreadable_batch_is_set_aside_as_such():
    answer = commands.read(record(orjson.dumps(fields(flag_id=FLAG_ID)), ((UNREADABLE_BATCH_HEADER, b"1"),)))
    assert isinstance(answer, Poison)
    assert "batch" in answer.message


def test_a_note_is_in_no_repr():
    for what in (REVIEW, {"command": "flag.confirm"}):
        command = read_fields(**what, note=SECRET)
        assert command.note == SECRET
        assert SECRET not in repr(command)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
#: Words of ours that a message may be made of.
OURS = re.compile(
    r"command must be one of [a-z., ]+|the broker's batch .*|the record is no command: .*|command_id is missing .*"
    r"|missing, unknown or malformed: ((command|command_id|actor|reason|note|tenant|flag_id|subject|correlation_id"
    r"|rules|an unknown field|expected either flag_id or subject)(, |$))+"
)
NAMES = ["command", "command_id", "actor", "reason", "note", "tenant", "flag_id", "subject", "correlation_id", "rules"]
headers_of_any_kind = st.lists(
    st.tuples(st.sampled_from(["content-type", "ce_id", "ce_type", ""]) | st.text(max_size=8), st.binary(max_size=40)),
    max_size=3,
).map(tuple) | st.sampled_from([(), (STRUCTURED_TYPE,)])


def check(answer: Command | InvalidCommand | Poison) -> None:
    if not isinstance(answer, Command):
        assert OURS.fullmatch(answer.message), answer.message
    if not isinstance(answer, Poison):
        assert re.fullmatch(r"[!-~]{1,128}", answer.command_id)


@given(value=st.binary(max_size=300), headers=headers_of_any_kind)
def test_any_bytes_are_read_without_raising(value, headers):
    check(commands.read(record(value, headers)))


@settings(max_examples=400)
@given(
    base=st.sampled_from(KINDS),
    changes=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), json_values, max_size=3),
    headers=headers_of_any_kind,
)
def test_any_json_in_any_field_is_read_without_raising_or_quoting(base, changes, headers):
    document = fields(**base) | changes
    given_record = record(orjson.dumps(document), headers)
    answer = commands.read(given_record)
    check(answer)
    assert commands.read(given_record) == answer


@given(path=st.sampled_from(["subject", "rules"]), what=json_values, name=st.text(max_size=8))
def test_any_json_further_in_is_read_without_raising_or_quoting(path, what, name):
    base = {"subject": {"command": "flag.confirm", "subject": {**HASHED, name: what}}}
    base["rules"] = {"command": "settings.update", "rules": {name: what, "device_velocity": {name: what}}}
    check(commands.read(record(orjson.dumps(fields(**base[path])))))
