"""Sessions by command: created once, refused by name, answered with what is known of the person."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.ledger import InMemoryLedger
from config.catalogues.challenges import (
    CHALLENGES,
    FEWEST_COLOURS,
    LONGEST_COLOUR_MS,
    MOST_COLOURS,
    MOST_FRAMES,
    SHORTEST_COLOUR_MS,
)
from stream.events.message.messages import Output, Record
from stream.review import commands
from stream.sessions.desk import SessionDesk
from stream.sessions.drawing import drawn_challenges, drawn_colours
from stream.sessions.session_request import SessionDefaults
from stream.sessions.session_store import InMemorySessionStore
from tests.unit.abuse.builders import at_ms, guid, seen
from tests.unit.stream.json_schema import REFUSAL_SCHEMA, SESSION_SCHEMA, violations
from tests.unit.stream.review.command_cases import DECIDED_S, OTHER, Reviewer, flag_events, flagged, moved, sent
from tests.unit.stream.sessions.builders import desk, tokens

ANSWERED_MS = at_ms(DECIDED_S)


class AppServer:
    """An app server, and the worker that carries out its commands."""

    def __init__(self, hashed: bool = True, **changes: Any) -> None:
        self.ledger, self.store = InMemoryLedger(), InMemorySessionStore()
        self.desk: SessionDesk | None = desk(self.ledger, self.store, hashed, **changes)
        self.worker = Reviewer(ledger=self.ledger, sessions=self.desk)

    async def obey(self, given: Record) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Events of sessions, and the audit entry."""
        *events, answer = await self.worker.obey(given)
        assert [event.topic for event in events] == ["sessions"] * len(events)
        assert b"eyJ" not in (answer.value or b""), "the trail is kept for ever, and holds no token"
        assert guid(1).encode() not in (answer.value or b"") + (answer.key or b"")
        return [_valid(event) for event in events], orjson.loads(answer.value or b"")

    async def created(self, **changes: Any) -> dict[str, Any]:
        (event,), entry = await self.obey(create(**changes))
        assert (entry["outcome"], event["state"], event["session_id"]) == (
            "applied",
            "created",
            entry["changed"]["session_id"],
        )
        return event

    async def refused(self, given: Record) -> dict[str, Any]:
        (event,), entry = await self.obey(given)
        assert (entry["outcome"], entry["error"], entry["changed"]) == ("refused", event["error"], {})
        return event


def _valid(output: Output) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(output.value or b"")
    schema = SESSION_SCHEMA if "state" in document else REFUSAL_SCHEMA
    assert violations(document, schema) == []
    return document


def create(**changes: Any) -> Record:
    given = {"client_request_token": "r-1", "correlation_id": guid(1), "reason": "onboarding", **changes}
    return sent("session.create", **given)


def cancel(session_id: str, **changes: Any) -> Record:
    return sent("session.cancel", **{"session_id": session_id, "command_id": "c-9", **changes})


async def test_defaults():
    event = await AppServer().created()
    assert {name: event[name] for name in ("liveness_mode", "liveness_threshold", "liveness_challenges", "tenant")} == {
        "liveness_mode": "passive",
        "liveness_threshold": 75,
        "liveness_challenges": [],
        "tenant": None,
    }
    assert (event["attempts"], event["light_challenge"]) == ({"allowed": 1, "used": 0}, None)
    assert (event["retry_count"], event["open_flags"], event["client_request_token"]) == (0, [], "r-1")
    claims = tokens().claims(event["token"], ANSWERED_MS)
    assert (claims.session_id, claims.correlation_id) == (event["session_id"], guid(1))
    assert claims.expires_s - claims.issued_s == 600


async def test_what_is_asked_for():
    asked = {
        "liveness_mode": "active",
        "liveness_threshold": 60,
        "liveness_challenges": ["blink", "smile"],
        "light_challenge": True,
        "attempts": 3,
        "token_lifetime_s": 60,
        "tenant": "acme",
        "expected_client_ip": "203.0.113.0/24",
        "device_id": "phone-1",
        "capture_key": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    }
    server = AppServer()
    event = await server.created(**asked)
    assert sorted(event["liveness_challenges"]) == ["blink", "smile"]
    assert (event["liveness_mode"], event["liveness_threshold"], event["attempts"]["allowed"]) == ("active", 60, 3)
    assert FEWEST_COLOURS <= len(event["light_challenge"]["colours"]) <= MOST_COLOURS
    claims = tokens().claims(event["token"], ANSWERED_MS)
    assert (claims.capture_key, claims.tenant) == (asked["capture_key"], "acme")
    assert claims.expires_s - claims.issued_s == 60
    kept = repr(server.store.kept) + repr(server.worker.log.__dict__)
    assert "203.0.113" not in kept
    assert "phone-1" not in kept
    assert event["token"] not in kept


async def test_client_and_reference_are_in_the_terms():
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    server = AppServer()
    wishes = {"attestation_required": True, "reference_sha256": "0a" * 32, "deliver_session_image": True}
    await server.created(capture_key=jwk, **wishes)
    (record,) = server.store.records.values()
    terms = record.terms(1, active_step=False)
    assert (orjson.loads(terms.capture_key), terms.attestation_required, terms.nonce) == (jwk, True, record.token_id)
    assert (terms.reference_sha256, terms.image_wanted) == ("0a" * 32, True)
    alone = await AppServer().refused(create(attestation_required=True))
    assert alone["error"]["code"] == "NOT_SUPPORTED"


async def test_same_request_token_gives_the_same_session():
    """In another record, under another command id, whatever was drawn: the same bytes again."""
    server = AppServer()
    asked = {"liveness_mode": "active", "light_challenge": True, "device_id": "phone-1"}
    first = create(**asked)
    event = await server.created(**asked)
    for again in (first, moved(first), moved(create(**asked, command_id="c-2"))):
        (repeated,), _ = await server.obey(again)
        assert repeated == event
    assert len(server.store.kept) == 1


async def test_request_token_of_another_session():
    server = AppServer()
    await server.created()
    for changed in ({"attempts": 2}, {"correlation_id": guid(2)}, {"device_id": "phone-2"}):
        event = await server.refused(create(command_id=f"c-{changed}".replace(" ", "_"), **changed))
        assert event["error"]["code"] == "REQUEST_TOKEN_USED"
    await server.created(command_id="c-3", tenant="acme")


async def test_crash_before_the_session_is_stored():
    """The kept plan is carried out: the same draw, the same token."""

    class Dying(InMemorySessionStore):
        async def create(self, record):
            if not self.kept:
                self.kept = {}
                self.create = super().create
                raise KeyboardInterrupt
            return await super().create(record)

    server = AppServer()
    store = Dying()
    server.worker.sessions = desk(server.ledger, store)
    given = create(liveness_mode="active")
    with pytest.raises(KeyboardInterrupt):
        await server.obey(given)
    (event,), _ = await server.obey(given)
    assert ((event,), 1) == (tuple((await server.obey(given))[0]), len(store.kept))


async def test_two_commands_at_once_with_other_parameters():
    """Both were planned before either was carried out: the second gets no session that isn't its own."""
    server = AppServer()
    assert server.desk is not None
    second = server.desk
    late = await second.plan_creation(None, _request(attempts=3), ANSWERED_MS)
    await server.created(attempts=1)
    await second.create(late)
    assert await second.answer(None, late) is None


def _request(**changes: Any) -> Any:
    return commands.read(create(**changes))


async def test_no_picture_in_a_command():
    event = await AppServer().refused(create(reference_image="x"))
    assert event["error"]["code"] == "NOT_SUPPORTED"
    assert event["error"]["message"].endswith("reference_image")


@pytest.mark.parametrize("field", [{"device_id": "phone-1"}, {"expected_client_ip": "203.0.113.9"}])
async def test_personal_fields_need_hash_keys(field):
    event = await AppServer(hashed=False).refused(create(**field))
    assert event["error"]["code"] == "NOT_SUPPORTED"
    assert next(iter(field)) in event["error"]["message"]


async def test_light_challenge_needs_a_movement():
    assert (await AppServer().refused(create(light_challenge=True)))["error"]["code"] == "NOT_SUPPORTED"


async def test_sessions_are_off_without_keys():
    server = AppServer()
    server.worker.sessions = None
    event = await server.refused(create())
    assert (event["error"]["code"], event["retry_count"]) == ("SESSIONS_OFF", None)
    assert (await server.refused(sent("session.cancel", session_id="ls_" + "0" * 32)))["error"]["code"] == (
        "SESSIONS_OFF"
    )


async def test_malformed_command_is_answered_on_the_sessions_topic():
    event = await AppServer().refused(create(attempts=7))
    assert event["error"] == {"code": "INVALID_COMMAND", "message": "missing, unknown or malformed: attempts"}


async def test_grave_flag_stops_sessions():
    """Enforced or not; the answer says what is known either way, without evidence."""
    for severity, stops in ((Severity.MEDIUM, False), (Severity.HIGH, True), (Severity.CRITICAL, True)):
        server = AppServer()
        event = replace(flag_events()[0])
        document = orjson.loads(event.document) | {"severity": str(severity)}
        await server.ledger.record([replace(event, document=orjson.dumps(document))])
        for attempt in range(3):
            await server.ledger.observe(seen(float(attempt)))
        if stops:
            answer = await server.refused(create())
            assert answer["error"]["code"] == "CORRELATION_ID_FLAGGED"
        else:
            answer = await server.created()
        assert answer["retry_count"] == 3
        (told,) = answer["open_flags"]
        assert (told["severity"], told["enforced"], told["kind"]) == (str(severity), False, "attack_frequency")
        assert "evidence" not in told


async def test_retries_are_those_of_the_last_hour():
    """Later ones, of a command that waited for long, don't count either."""
    server = AppServer()
    for number, at_s in enumerate((0, 500, 4500)):
        await server.ledger.observe(seen(number, at_s))
    counts = [
        (await server.created(client_request_token=f"r-{at_s}", command_id=f"c-{at_s}", at_s=at_s))["retry_count"]
        for at_s in (600.0, 4000.0, 9000.0)
    ]
    assert counts == [2, 1, 0]


async def test_flag_of_somebody_else_stops_nobody():
    server = AppServer()
    await flagged(server.ledger, subject=OTHER)
    await server.created()


async def test_flag_on_the_device_is_told_and_stops_nobody():
    """A device may be shared: the app server decides."""
    server = AppServer()
    assert server.desk is not None
    assert server.desk.hasher is not None
    device = server.desk.hasher.device(None, "phone-1", ANSWERED_MS)
    await flagged(server.ledger, FlagKind.DEVICE_VELOCITY, subject=device)
    server.worker.sessions = replace(server.desk, risks=replace(server.desk.risks, severity=Severity.LOW))
    event = await server.created(device_id="phone-1")
    assert [(flag["kind"], flag["subject_type"]) for flag in event["open_flags"]] == [("device_velocity", "device")]


async def test_stopping_kinds_and_severity_are_settings():
    for kinds, stops in ((None, True), (frozenset({"face_reuse"}), False), (frozenset({"attack_frequency"}), True)):
        server = AppServer()
        await flagged(server.ledger)
        assert server.desk is not None
        risks = replace(server.desk.risks, severity=Severity.LOW, kinds=kinds)
        server.worker.sessions = replace(server.desk, risks=risks)
        if stops:
            await server.refused(create())
        else:
            await server.created()


async def test_pause_or_block_in_force_stops_sessions():
    server = AppServer()
    await flagged(server.ledger, FlagKind.EXCESSIVE_RETRIES)
    await server.ledger.switch(None, {"excessive_retries": {"enforced": True}})
    assert (await server.refused(create()))["error"]["code"] == "SUBJECT_BLOCKED"


async def test_reset_person_may_begin_again():
    server = AppServer()
    await flagged(server.ledger, FlagKind.EXCESSIVE_RETRIES)
    await server.ledger.switch(None, {"excessive_retries": {"enforced": True}})
    await server.refused(create())
    await server.worker.obey(sent("correlation.reset", correlation_id=guid(1), command_id="reset"))
    await server.created(command_id="c-2")


async def test_tenants_defaults():
    server = AppServer()
    wanted = {
        "liveness_mode": "active",
        "liveness_threshold": 90,
        "liveness_challenges": ["blink"],
        "attempts": 2,
        "token_lifetime_s": 120,
        "required": True,
    }
    *_, answer = await server.worker.obey(sent("settings.update", tenant="acme", sessions=wanted, command_id="s"))
    assert orjson.loads(answer.value)["changed"]["after"] == {"sessions": wanted}
    event = await server.created(tenant="acme")
    assert (event["liveness_mode"], event["liveness_threshold"], event["liveness_challenges"]) == (
        "active",
        90,
        ["blink"],
    )
    assert (await server.created(tenant="acme", command_id="c-2", client_request_token="r-2", attempts=3))["attempts"][
        "allowed"
    ] == 3
    assert (await server.created(command_id="c-3", client_request_token="r-3"))["liveness_mode"] == "passive"
    again = await server.worker.answer(sent("settings.update", tenant="acme", sessions=wanted, command_id="s2"))
    assert again["error"]["code"] == "NOTHING_TO_CHANGE"


async def test_cancelled_once():
    server = AppServer()
    event = await server.created()
    given = cancel(event["session_id"])
    (cancelled,), entry = await server.obey(given)
    assert (cancelled["state"], cancelled["result"], entry["changed"]["from"]) == ("cancelled", None, "created")
    assert ("token" in cancelled, cancelled["command_id"]) == (False, "c-9")
    assert (await server.obey(moved(given)))[0] == [cancelled]
    assert (await server.refused(cancel(event["session_id"], command_id="c-10")))["error"]["code"] == "SESSION_ENDED"
    assert (await server.refused(cancel("ls_" + "0" * 32, command_id="c-11")))["error"]["code"] == "UNKNOWN_SESSION"
    assert (await server.refused(cancel(event["session_id"], tenant="acme", command_id="c-12")))["error"]["code"] == (
        "UNKNOWN_SESSION"
    )


WITHOUT, WITH = ["smile", "blink"], ["smile", "head_left"]
WARNED = ["no_head_turn"]


@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({}, []),
        ({"liveness_mode": "active"}, []),
        ({"liveness_mode": "active", "light_challenge": True}, []),
        ({"liveness_mode": "active", "liveness_challenges": WITH}, []),
        ({"liveness_mode": "active", "liveness_challenges": WITHOUT}, WARNED),
        ({"liveness_mode": "active", "liveness_challenges": ["blink"], "light_challenge": True}, WARNED),
        ({"liveness_mode": "passive_active", "liveness_challenges": WITHOUT}, WARNED),
        ({"liveness_mode": "passive", "liveness_challenges": WITHOUT}, []),
    ],
)
async def test_no_head_turn(fields, warnings):
    """Warned of in the answer and the audit entry, or refused by name where the installation asks for one."""
    server = AppServer()
    (event,), entry = await server.obey(create(**fields))
    assert (event["warnings"], entry["changed"]["warnings"]) == (warnings, warnings)
    assert (
        warnings or event["liveness_mode"] == "passive" or {"head_left", "head_right"} & {*event["liveness_challenges"]}
    )
    strict = AppServer(fallback=SessionDefaults(attempts=1, token_lifetime_s=600, require_head_turn=True))
    if not warnings:
        assert (await strict.created(**fields))["warnings"] == []
        return
    refused = await strict.refused(create(**fields))
    assert (refused["error"]["code"], "head_left" in refused["error"]["message"]) == ("HEAD_TURN_REQUIRED", True)
    assert (refused["retry_count"], strict.store.kept) == (0, {})


async def test_tenant_that_asks_for_a_head_turn():
    """Also against the tenant's own default challenges; of nobody else, and not of a session that there is already."""
    server = AppServer()
    wanted = {"liveness_mode": "active", "liveness_challenges": WITHOUT}
    await server.worker.obey(sent("settings.update", tenant="acme", sessions=wanted, command_id="s-1"))
    first = await server.created(tenant="acme")
    assert first["warnings"] == WARNED
    asked = {"require_head_turn": True}
    await server.worker.obey(sent("settings.update", tenant="acme", sessions=asked, command_id="s-2"))
    again = {"command_id": "c-2", "client_request_token": "r-2"}
    assert (await server.refused(create(tenant="acme", **again)))["error"]["code"] == "HEAD_TURN_REQUIRED"
    assert await server.created(tenant="acme", command_id="c-3") == first
    others = {"command_id": "c-4", "client_request_token": "r-4", **wanted}
    assert (await server.created(**others))["warnings"] == WARNED


def test_draws():
    """Every order comes up, and every length; neighbours differ, and two colours at least are no greys."""
    orders = {drawn_challenges(CHALLENGES) for _ in range(1000)}
    assert len(orders) == 24
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(CHALLENGES))}
    lengths = set()
    for number in range(500):
        challenges = number % 5
        colours, colour_ms = drawn_colours(challenges)
        assert len(colours) + challenges + 1 <= MOST_FRAMES
        lengths.add(len(colours))
        assert all(one != two for one, two in pairwise(colours))
        assert sum(each not in ("white", "black") for each in colours) >= 2
        assert SHORTEST_COLOUR_MS <= colour_ms <= LONGEST_COLOUR_MS
    assert lengths == set(range(FEWEST_COLOURS, MOST_COLOURS + 1))
