"""Signed commands: whose key it was is in the audit entry; a command with no right signature changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pybase64
import pytest

from stream.encryption.reviewer_keys import SigningKey, new_signing_key
from stream.events.authentication.forgeries import NOT_AUTHENTIC
from stream.events.message.messages import Fault, Headers, Record
from stream.review.command_signatures import GOOD_FOR_MS, CommandSignatures, signed_headers
from stream.review.reviewers import reviewers_of
from stream.runtime import metrics
from tests.unit.abuse.builders import at_ms
from tests.unit.stream.review.command_cases import DECIDED_S, ME, Reviewer, about, fields, flagged, moved, sent

ANN, BOB, EVE = (new_signing_key(name) for name in ("ann-1", "bob-1", "ann-2"))
FILE = f"""
[roles]
reviewer = ["flag.confirm", "flag.override"]
officer = ["subject.erase"]
[keys.ann-1]
actor = "ann"
roles = ["reviewer"]
public = "{ANN.public}"
[keys.bob-1]
actor = "bob"
roles = ["reviewer", "officer"]
public = "{BOB.public}"
"""
FIND = reviewers_of(FILE.encode()).get
CHECKED, REQUIRED = (CommandSignatures(find=FIND, required=required) for required in (False, True))
SIGNED_AT_MS = at_ms(DECIDED_S)
OVERRIDE = {"subject": about(ME)}


def signed(command: str, by: SigningKey = ANN, at: int = SIGNED_AT_MS, **changes: Any) -> Record:
    given = sent(command, **changes)
    return replace(given, headers=signed_headers(given.topic, given.value or b"", by, at))


def with_header(record: Record, name: str, value: bytes) -> Record:
    headers: Headers = tuple((each, value if each == name else held) for each, held in record.headers)
    return replace(record, headers=headers)


GENUINE = signed("flag.override", **OVERRIDE)
#: A command, and what is wrong with it; whether signatures are required or not.
WRONG = {
    "other bytes": (replace(GENUINE, value=orjson.dumps(fields("flag.override", **OVERRIDE, note="!"))), "wrong"),
    "another's key": (with_header(GENUINE, "signature-key", b"bob-1"), "wrong"),
    "another time": (with_header(GENUINE, "signature-time", b"%d" % (SIGNED_AT_MS + 1)), "wrong"),
    "another installation": (replace(GENUINE, topic=f"staging.{GENUINE.topic}"), "wrong"),
    "a guess": (with_header(GENUINE, "signature", b"A" * 86), "wrong"),
    "a key in no file": (signed("flag.override", EVE, **OVERRIDE), "unknown_key"),
    "no key named": (replace(GENUINE, headers=GENUINE.headers[:1]), "malformed"),
    "two signatures": (replace(GENUINE, headers=GENUINE.headers * 2), "malformed"),
    "an endless time": (with_header(GENUINE, "signature-time", b"1" * 5000), "malformed"),
    "no base64": (with_header(GENUINE, "signature", b"%" * 86), "malformed"),
    "sent again much later": (signed("flag.override", at=SIGNED_AT_MS - GOOD_FOR_MS - 1, **OVERRIDE), "out_of_time"),
    "signed ahead": (signed("flag.override", at=SIGNED_AT_MS + GOOD_FOR_MS + 1, **OVERRIDE), "out_of_time"),
}


@pytest.mark.parametrize("signatures", [CHECKED, REQUIRED], ids=["checked", "required"])
@pytest.mark.parametrize(("given", "why"), WRONG.values(), ids=WRONG)
async def test_wrong_signature(signatures: CommandSignatures, given: Record, why: str) -> None:
    await set_aside(Reviewer(signatures=signatures), given, why)


#: Of a stranger who may write to the topic: a command, no command, nothing.
UNSIGNED = {"command": sent("flag.override", **OVERRIDE), "poison": replace(GENUINE, headers=(), value=b"{")}
UNSIGNED["nothing"] = replace(GENUINE, headers=(), value=None)


@pytest.mark.parametrize("given", UNSIGNED.values(), ids=UNSIGNED)
async def test_unsigned_where_required(given: Record) -> None:
    await set_aside(Reviewer(signatures=REQUIRED), given, "missing")


async def set_aside(reviewer: Reviewer, given: Record, why: str) -> None:
    """A dead letter that doesn't count for the breaker; no plan, no entry, nothing changed."""
    counter = metrics.FORGED.labels(topic="liveness.commands", why=why)
    await flagged(reviewer.ledger)
    table, before = reviewer.table, counter._value.get()
    (letter,) = await reviewer.obey(given)
    assert (letter.topic, letter.value or None, letter.fault) == ("dead", given.value, Fault.FORGED)
    assert dict(letter.headers)["reason"] == NOT_AUTHENTIC.encode()
    assert (reviewer.table, await reviewer.audit.peek()) == (table, None)
    assert counter._value.get() == before + 1


@pytest.mark.parametrize(
    ("by", "entry"),
    [(ANN, {"key": "ann-1", "actor_matches": True}), (BOB, {"key": "bob-1", "actor_matches": False})],
)
async def test_entry_names_the_key(by: SigningKey, entry: dict[str, object]) -> None:
    reviewer = Reviewer(signatures=REQUIRED)
    await flagged(reviewer.ledger)
    answer = await reviewer.answer(signed("flag.override", by, **OVERRIDE))
    assert (answer["outcome"], answer["actor"], answer["signed_by"]) == ("applied", "ann", entry)


async def test_unsigned_where_not_required() -> None:
    reviewer = Reviewer(signatures=CHECKED)
    await flagged(reviewer.ledger)
    answer = await reviewer.answer(sent("flag.override", **OVERRIDE))
    assert (answer["outcome"], "signed_by" in answer) == ("applied", False)


async def test_not_among_ones_roles() -> None:
    """Answered, since it is known who asked; bob, who holds the other role, may."""
    reviewer = Reviewer(signatures=CHECKED)
    await flagged(reviewer.ledger)
    table = reviewer.table
    refused = await reviewer.answer(signed("subject.erase", **OVERRIDE))
    assert (refused["outcome"], refused["error"]["code"]) == ("refused", "NOT_PERMITTED")
    assert (reviewer.table, refused["signed_by"]["key"]) == (table, "ann-1")
    erased = await reviewer.answer(signed("subject.erase", BOB, command_id="c-2", actor="bob", **OVERRIDE))
    assert (erased["outcome"], erased["signed_by"]) == ("applied", {"key": "bob-1", "actor_matches": True})


async def test_sent_again_by_a_stranger() -> None:
    """The same bytes with the same signature: the same answer, and nothing changes."""
    reviewer = Reviewer(signatures=REQUIRED)
    await flagged(reviewer.ledger)
    first = await reviewer.answer(GENUINE)
    table = reviewer.table
    assert await reviewer.answer(replace(moved(GENUINE), key=b"another")) == first
    assert reviewer.table == table


def test_documented_bytes() -> None:
    """A signature by a system of one's own, over the bytes that docs/SECURITY.md names."""
    made = ANN.sign(b"liveness-command-1\n%s\n%d\n%s" % (GENUINE.topic.encode(), SIGNED_AT_MS, GENUINE.value))
    signature = pybase64.urlsafe_b64encode(made).rstrip(b"=")
    assert CHECKED.signer(with_header(GENUINE, "signature", signature)) == FIND("ann-1")


async def test_file_in_no_worker() -> None:
    """A signature that nobody can check is not taken for a right one."""
    await set_aside(Reviewer(), GENUINE, "unknown_key")
