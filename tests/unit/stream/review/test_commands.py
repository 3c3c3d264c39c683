"""From a record of the commands topic to a command: what is taken, what is answered as invalid, what is set aside."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.review.refusals import CommandErrorCode
from abuse.review.reviews import FlagTarget
from abuse.subjects import SubjectType, correlation
from config.limits.abuse import RULE_NAMES
from stream.events.message.messages import UNREADABLE_BATCH_HEADER, Poison
from stream.review import commands
from stream.review.commands import COMMANDS, MAX_COMMAND_BYTES, InvalidCommand
from stream.review.kinds.base import Command
from stream.review.kinds.flags import ConfirmFlags, OverrideFlags, ResetCorrelation
from stream.review.kinds.sessions import CancelSession, CreateSession
from stream.review.kinds.subjects import EraseSubject
from stream.review.kinds.switch_rules import SwitchRules
from tests.unit.abuse.builders import guid, subject
from tests.unit.stream.builders import JSON_TYPE, SECRET, STRUCTURED_TYPE, ce_headers
from tests.unit.stream.review.command_cases import FLAG_ID, about, fields, record, sent

ADDRESS = subject(SubjectType.ADDRESS, 1)
HASHED = about(ADDRESS)
MALFORMED = "missing, unknown or malformed: "

# Values that are refused, by the field that has them.
COMMON = {
    "actor": [..., "", "a b", "Zebra\n", "x" * 257, 7, None],
    "reason": [..., "Zebra", "a-b", "", "x" * 65],
    "note": [7, "x" * 1001, "\x1b[31mZebra", "two\nlines", "\x9b31m"],
    "tenant": ["", "a b", "x" * 65, "a\n", ["Zebra"]],
}
FLAG_IDS = [
    *("", "fl_", FLAG_ID[:-1], FLAG_ID + "0", FLAG_ID.upper(), FLAG_ID + "\n", " " + FLAG_ID, "fl_" + "g" * 24),
    *(7, ["fl_"], {}),
]
GUIDS = ["", "1", "{" + guid(1) + "}", "urn:uuid:" + guid(1), guid(1) + "\n", guid(1)[:-1], "0x" + guid(1)[2:], 7]
SUBJECTS = [
    *({}, {"type": "address"}, {"key": HASHED["key"]}, {**HASHED, SECRET: 1}, "address", [HASHED], 7),
    *({"type": kind, "key": HASHED["key"]} for kind in ("Address", "ip", SECRET, "", None, 7, [], {})),
    *({"type": "address", "key": key} for key in ("203.0.113.7", SECRET, "k1-0", "", 7, None, "k1-" + "0" * 62)),
    *({"type": "address", "key": key} for key in (HASHED["key"] + "\n", HASHED["key"].upper())),
    *({"type": "correlation_id", "key": key} for key in (HASHED["key"], *GUIDS)),
    {"type": "device", "key": guid(1)},
    *({**HASHED, "former": former} for former in (SECRET, [SECRET], [7], None, [HASHED["key"]] * 17)),
]
RULES = [
    *(None, {}, [], 7, "device_velocity", {SECRET: {"active": True}}, {SECRET: {SECRET: True}}),
    *({"device_velocity": on} for on in (True, None, [], {"active": 1}, {"active": "true"}, {SECRET: True})),
    *({"device_velocity": on} for on in ({}, {"active": None}, {"active": None, "enforced": None})),
    *({"device_velocity": {"active": True}, name: {"active": True}} for name in ("risk", "flag_ttl_s")),
]


@dataclass(frozen=True, slots=True)
class KindCase:
    """A sound command of a kind: its own field, how and as what it is read, what it may not be, and a foreign field."""

    kind: type[Command]
    own: dict[str, Any]
    read: Callable[[Any], Any]
    expected: Any
    malformed: list[Any]
    foreign: str

    @property
    def fields(self) -> dict[str, Any]:
        return {"command": self.kind.name, **self.own}


BY_FLAG = ({"flag_id": FLAG_ID}, lambda c: c.target, FlagTarget(flag_id=FLAG_ID), FLAG_IDS, "rules")
BY_SUBJECT = ({"subject": HASHED}, lambda c: c.target, FlagTarget(subject=ADDRESS), SUBJECTS, "reset")
RESET, SWITCHED = {"correlation_id": guid(1)}, {"device_velocity": {"enforced": True}}
ERASED = {"subject": {**HASHED, "former": [HASHED["key"]]}}
NOT_ERASABLE = [..., None, *SUBJECTS, *(about(subject(kind, 1)) for kind in (SubjectType.FACE, SubjectType.MEDIA))]
REVIEWS = (ConfirmFlags, OverrideFlags)
NIL = "00000000-0000-0000-0000-000000000000"
SESSION_ID = "ls_" + "0a" * 16
DEFAULTS = {"liveness_mode": "active", "attempts": 3, "required": True}
NO_DEFAULTS = [{SECRET: 1}, {"attempts": 4}, {"required": "yes"}, {"liveness_challenges": []}, 7, []]
ASKED = {"client_request_token": "r-1", "correlation_id": guid(1)}
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
OPTIONAL: dict[str, tuple[Any, list[Any]]] = {
    "liveness_threshold": (0, [-1, 101, 75.0, "75", True]),
    "liveness_challenges": (["blink", "smile"], [[], ["blink", "blink"], ["nod"], [SECRET], "blink", {}]),
    "light_challenge": (True, [1, "true", None]),
    "deliver_session_image": (True, [1, "true", None]),
    "attempts": (3, [0, 4, "1", True]),
    "token_lifetime_s": (60, [59, 86_401, 60.5, "60"]),
    "device_id": ("phone-1", ["", "a b", "x" * 257, 7]),
    "expected_client_ip": ("203.0.113.0/24", ["", "x", "203.0.113.0/33", "fe80::1%1", SECRET, 7]),
    "reference_sha256": ("0a" * 32, ["", "0A" * 32, "0a" * 31, 7]),
    "capture_key": (JWK, [{}, {**JWK, "d": SECRET}, {**JWK, "crv": "P-256"}, {**JWK, "x": SECRET}, "x", []]),
}
KINDS = [
    *(KindCase(kind, *by) for kind in REVIEWS for by in (BY_FLAG, BY_SUBJECT)),
    KindCase(ResetCorrelation, RESET, lambda c: c.correlation_id, guid(1), [..., None, *GUIDS], "flag_id"),
    KindCase(SwitchRules, {"rules": SWITCHED}, lambda c: c.switches, SWITCHED, RULES, "correlation_id"),
    KindCase(SwitchRules, {"sessions": DEFAULTS}, lambda c: c.switches["sessions"], DEFAULTS, NO_DEFAULTS, "subject"),
    KindCase(
        CreateSession,
        {"liveness_mode": "active", **ASKED},
        lambda c: c.liveness_mode,
        "active",
        ["Active", 7, []],
        "flag_id",
    ),
    *(
        KindCase(CreateSession, {name: sound, **ASKED}, lambda c: c.correlation_id, guid(1), wrong, "session_id")
        for name, (sound, wrong) in OPTIONAL.items()
    ),
    KindCase(
        CancelSession, {"session_id": SESSION_ID}, lambda c: c.session_id, SESSION_ID, [..., None, "ls_1", 7], "flag_id"
    ),
    KindCase(EraseSubject, ERASED, lambda c: c.subject.subject().keys, (HASHED["key"],) * 2, NOT_ERASABLE, "flag_id"),
]
each_kind = pytest.mark.parametrize("case", KINDS, ids=lambda case: f"{case.kind.name}-{'-'.join(case.own)}")
REVIEW = KINDS[0].fields


def read_fields(**changes: Any) -> Any:
    return commands.read(sent(**changes))


def refused(**changes: Any) -> str:
    """The message that a malformed command is answered with."""
    answer = read_fields(**changes)
    assert isinstance(answer, InvalidCommand)
    assert (answer.command_id, answer.code) == ("c-1", CommandErrorCode.INVALID_COMMAND)
    assert answer.message.startswith(MALFORMED)
    return answer.message.removeprefix(MALFORMED)


def test_every_kind_has_a_case():
    assert {case.kind for case in KINDS} == set(COMMANDS.values())


@each_kind
def test_sound_command(case):
    """Also with the longest words."""
    words = {"note": "\U0001f600" * 1000, "command_id": "!" * 128, "tenant": "acme"}
    command = read_fields(**case.fields, **words)
    assert type(command) is case.kind
    assert {name: getattr(command, name) for name in words} == words
    assert (command.name, command.actor, command.reason) == (case.kind.name, "ann", "false_positive")
    assert case.read(command) == case.expected
    bare = read_fields(**case.fields, tenant=None)
    assert (bare.note, bare.tenant) == ("", None)


@each_kind
def test_malformed_field_is_named_not_quoted(case):
    own = case.own.keys() - (ASKED.keys() if case.kind is CreateSession else set())
    for name, values in {**COMMON, **dict.fromkeys(own, case.malformed)}.items():
        for value in values:
            assert refused(**{**case.fields, name: value}) == name


@each_kind
def test_unknown_field_is_not_quoted(case):
    for name in (SECRET, case.foreign):
        assert refused(**case.fields, **{name: FLAG_ID}) == "an unknown field"


def test_settings_name_what_to_change():
    for what in ({}, {"sessions": None}, {"sessions": {}}):
        assert refused(command="settings.update", **what) == "expected what to switch"


@pytest.mark.parametrize("field", ASKED)
def test_session_needs_a_person_and_a_request_token(field):
    for value in (..., None, "", "a b", 7, "00000000-0000-0000-0000-000000000000 "):
        assert refused(command="session.create", **{**ASKED, field: value}) == field
    assert refused(command="session.create", **{**ASKED, "correlation_id": NIL}) == "correlation_id"


@pytest.mark.parametrize("target", [{}, {"flag_id": None}, {"flag_id": FLAG_ID, "subject": HASHED}])
@pytest.mark.parametrize("kind", REVIEWS)
def test_review_needs_one_target(kind, target):
    assert refused(command=kind.name, **target) == "expected either flag_id or subject"


@pytest.mark.parametrize("kind", [kind for kind in SubjectType if kind is not SubjectType.CORRELATION_ID])
def test_hashed_subject(kind):
    assert read_fields(subject=about(subject(kind, 9))).target == FlagTarget(subject=subject(kind, 9))


@pytest.mark.parametrize("written", [guid(0xABC), guid(0xABC).upper(), guid(0xABC).replace("-", "").upper()])
def test_correlation_id_in_any_form(written):
    assert read_fields(command="correlation.reset", correlation_id=written).correlation_id == guid(0xABC)
    for command in ("flag.confirm", "subject.erase"):
        named = read_fields(command=command, subject={"type": "correlation_id", "key": written})
        assert named.subject.subject() == correlation(guid(0xABC))


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_each_rule_can_be_switched(rule):
    for on in ({"active": True}, {"enforced": False}, {"active": False, "enforced": True}):
        assert read_fields(command="settings.update", rules={rule: on}).switches == {rule: on}


@pytest.mark.parametrize("value", [{}, [], 7, True, None, "", "flag.erase", SECRET, "FLAG.CONFIRM", "flag.confirm "])
def test_unknown_command(value):
    answer = commands.read(record(orjson.dumps(fields() | {"command": value})))
    assert isinstance(answer, InvalidCommand)
    assert answer.code is CommandErrorCode.UNKNOWN_COMMAND
    assert answer.message == f"command must be one of {', '.join(COMMANDS)}"


def test_note_is_in_no_repr():
    for what in (REVIEW, {"command": "flag.confirm"}):
        command = read_fields(**what, note=SECRET)
        assert command.note == SECRET
        assert SECRET not in repr(command)


# Records


@pytest.mark.parametrize("value", [..., None, 7, "", "a b", "x" * 129, "Zebra\n", "\u00e9", ["c-1"], {"c": 1}])
def test_without_command_id_it_is_poison(value):
    answer = read_fields(command_id=value, flag_id=FLAG_ID)
    assert answer == Poison(reason=commands.BAD_COMMAND, message="command_id is missing or malformed")


@pytest.mark.parametrize("headers", [(), (JSON_TYPE,), ce_headers(b"application/json", type="liveness.command.v1")])
def test_bare_and_binary_events(headers):
    assert isinstance(commands.read(record(orjson.dumps(fields(flag_id=FLAG_ID)), headers)), Command)


def structured(data: Any = ..., **attributes: Any) -> Any:
    event = {"specversion": "1.0", "type": "liveness.command.v1", "source": "/desk", "id": "e-1", **attributes}
    return commands.read(record(orjson.dumps(event if data is ... else {**event, "data": data}), (STRUCTURED_TYPE,)))


def test_structured_event_holds_the_command_as_data():
    assert structured(fields(flag_id=FLAG_ID)) == read_fields(flag_id=FLAG_ID)
    for data in (..., None, [], "text", 7):
        assert isinstance(structured(data), Poison)
    assert isinstance(structured(None, **fields(flag_id=FLAG_ID)), Poison), "not beside its data"


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe", b"\xef\xbb\xbf{}"),
        *(b'{"command_id": "\\ud800"}', b"[" * 60_000, b'{"a":' * 10_000, b"{}" * 2),
    ],
)
def test_what_is_no_json_object_is_poison(value):
    assert isinstance(commands.read(record(value)), Poison)


def test_of_a_repeated_field_the_last_counts():
    value = orjson.dumps(fields(flag_id=FLAG_ID))[:-1] + b', "command_id": "c-2"}'
    assert commands.read(record(value)).command_id == "c-2"


def test_size_limit_is_exact():
    bare = orjson.dumps(fields(flag_id=FLAG_ID))
    assert isinstance(commands.read(record(bare.ljust(MAX_COMMAND_BYTES))), Command)
    assert isinstance(commands.read(record(bare.ljust(MAX_COMMAND_BYTES + 1))), Poison)


def test_too_large_is_not_even_parsed():
    value = b'{"command_id":"c-1","x":[' + b"[]," * 5_000_000 + b"[]]}"
    tracemalloc.start()
    try:
        assert isinstance(commands.read(record(value)), Poison)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_stand_in_for_an_unreadable_batch():
    answer = commands.read(record(orjson.dumps(fields(flag_id=FLAG_ID)), ((UNREADABLE_BATCH_HEADER, b"1"),)))
    assert isinstance(answer, Poison)
    assert "batch" in answer.message


# Anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["command", "command_id", "actor", "reason", "note", "tenant", "flag_id", "subject", "correlation_id", "rules"]
#: Words of ours that a message may be made of.
OURS = re.compile(
    r"command must be one of [a-z., ]+|the broker's batch .*|the record is no command: .*|command_id is missing .*"
    rf"|{MALFORMED}(({'|'.join(NAMES)}|an unknown field|expected either flag_id or subject)(, |$))+"
)
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
def test_any_bytes(value, headers):
    check(commands.read(record(value, headers)))


@given(
    base=st.sampled_from([case.fields for case in KINDS]),
    changes=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), json_values, max_size=3),
    headers=headers_of_any_kind,
)
def test_any_json_in_any_field(base, changes, headers):
    given_record = record(orjson.dumps(fields(**base) | changes), headers)
    answer = commands.read(given_record)
    check(answer)
    assert commands.read(given_record) == answer
