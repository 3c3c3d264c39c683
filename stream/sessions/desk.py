"""The desk: sessions created and cancelled for app servers, by commands.

A session's id follows from tenant and client request token, so that two commands with one token meet in the store, and
the first makes the session. Its token is signed whenever it is answered, which gives the same text: none is stored.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson

from abuse.event_time import MS, iso8601
from abuse.keys.subject_hasher import SubjectHasher
from abuse.ledger.ledger import SESSIONS, Switches
from abuse.review.plans import CommandPlan
from abuse.review.refusals import CommandErrorCode, CommandRefused
from abuse.subjects import Subject
from config.catalogues.challenges import CHALLENGES, HEAD_TURNS
from stream.encryption.session_tokens import SessionTokens
from stream.events.message.session_terms import DEFAULT_THRESHOLD, LivenessMode
from stream.events.wire.session_events import SessionEvent
from stream.sessions.changes import created_event, end_event
from stream.sessions.client_network import ClientNetworks
from stream.sessions.drawing import drawn_challenges, drawn_colours
from stream.sessions.risk import SessionRisk, SessionRisks
from stream.sessions.session import END, Session, SessionEnd, SessionState, session_from
from stream.sessions.session_record import SessionRecord, SessionWarning
from stream.sessions.session_request import SessionDefaults, SessionRequest, SessionWishes
from stream.sessions.session_store import SessionName, SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationPlan(CommandPlan):
    """A session to be created, or one that the same client request token created before (`record` is None). `asked` is
    empty in a plan that is known from the command's answer."""

    session_id: str
    asked: str
    record: SessionRecord | None = None

    def carried_out(self) -> Self:
        return replace(self, record=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationPlan(CommandPlan):
    """A session to be cancelled by a command."""

    session_id: str
    cause: str
    at_ms: int
    used: int


def sessions_off() -> CommandRefused:
    return CommandRefused(CommandErrorCode.SESSIONS_OFF, "sessions are off here: LIVENESS_SESSIONS__KEYS is not set")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDesk:
    """Calls raise `config.errors.Unavailable` when the store or the abuse table is away; each may be repeated.

    `fallback`: defaults where neither command nor tenant names any. `hasher`: None without hash keys, so that neither a
    device nor an address can be kept.
    """

    store: SessionStore
    tokens: SessionTokens
    risks: SessionRisks
    fallback: SessionDefaults
    hasher: SubjectHasher | None = None

    async def plan_creation(self, tenant: str | None, request: SessionRequest, at_ms: int) -> CreationPlan:
        """The session that a command asks for; writes nothing. Raises CommandRefused, which tells the risk."""
        session_id = session_id_of(tenant, request.client_request_token)
        held = session_from(await self.store.read(SessionName(tenant, session_id)))
        keyed, device = self._keyed(tenant, request, at_ms if held is None else held.record.created_s * MS)
        asked = request.digest(keyed)
        if held is not None:
            return _planned_again(held, asked)
        risk = await self.risks.of(tenant, request.correlation_id, device, at_ms)
        if risk.stopped is not None:
            message = "no session while the correlation id is flagged, paused or blocked; a reviewer can reset it"
            raise CommandRefused(risk.stopped, message, risk.told)
        record = self._record(tenant, session_id, request, risk, at_ms)
        record = replace(record, asked=asked, network=keyed.get("network"))
        if SessionWarning.NO_HEAD_TURN in record.warnings and self._requires_head_turn(risk.switches):
            message = f"liveness_challenges without {' or '.join(sorted(HEAD_TURNS))}: a head turn is required here"
            raise CommandRefused(CommandErrorCode.HEAD_TURN_REQUIRED, message, risk.told)
        return CreationPlan(changed=_told(record), session_id=session_id, asked=asked, record=record)

    async def create(self, plan: CreationPlan) -> None:
        if plan.record is not None:
            await self.store.create(plan.record)

    async def answer(self, tenant: str | None, plan: CreationPlan) -> SessionEvent | None:
        """The answer with the token, as often as it is asked for; None for a session that is kept no longer, and for
        one that another command with other parameters made in the same moment."""
        session = session_from(await self.store.read(SessionName(tenant, plan.session_id)))
        if session is None or plan.asked not in ("", session.record.asked):
            return None
        return created_event(session, self.tokens.sign(session.record.claims, session.record.kid))

    async def plan_cancellation(
        self, tenant: str | None, session_id: str, command_id: str, at_ms: int
    ) -> CancellationPlan:
        """The end of a session by a command; writes nothing. Raises CommandRefused."""
        session = session_from(await self.store.read(SessionName(tenant, session_id)))
        if session is None:
            raise CommandRefused(CommandErrorCode.UNKNOWN_SESSION, "no session of this tenant has this id")
        if session.end is not None and session.end.cause != command_id:
            raise CommandRefused(CommandErrorCode.SESSION_ENDED, f"the session has ended already: {session.end.state}")
        changed = {"session_id": session_id, "from": str(session.state), "to": str(SessionState.CANCELLED)}
        return CancellationPlan(
            changed=changed, session_id=session_id, cause=command_id, at_ms=at_ms, used=session.used
        )

    async def cancel(self, tenant: str | None, plan: CancellationPlan) -> SessionEvent | None:
        """The session ended; returns the event, None if something else ended the session before."""
        end = SessionEnd(state=SessionState.CANCELLED, at_ms=plan.at_ms, cause=plan.cause, used=plan.used)
        session = session_from(await self.store.add(SessionName(tenant, plan.session_id), {END: end.to_text()}))
        if session is None or session.end is None or session.end.cause != plan.cause:
            return None
        return end_event(session)

    def _keyed(self, tenant: str | None, request: SessionRequest, at_ms: int) -> tuple[dict[str, str], Subject | None]:
        """Personal fields under the hash key in force, and the device as a subject. Raises CommandRefused."""
        named = {"device_id": request.device_id, "expected_client_ip": request.expected_client_ip}
        if self.hasher is None:
            if given := [name for name, value in named.items() if value is not None]:
                raise not_supported(given, "without LIVENESS_ABUSE__HASH_KEYS")
            return {}, None
        device = None if request.device_id is None else self.hasher.device(tenant, request.device_id, at_ms)
        keyed = {} if device is None else {"device": device.key}
        if request.expected_client_ip is not None:
            keyed["network"] = ClientNetworks(self.hasher).keyed(tenant, request.expected_client_ip, at_ms)
        return keyed, device

    def _record(
        self, tenant: str | None, session_id: str, request: SessionRequest, risk: SessionRisk, at_ms: int
    ) -> SessionRecord:
        """Record of a new session; challenges and colours are drawn anew at each call."""
        wanted = self._wanted(request, risk.switches.get(SESSIONS, {}))
        mode = LivenessMode(wanted["liveness_mode"])
        passive = mode is LivenessMode.PASSIVE
        if passive and request.light_challenge:
            raise not_supported(["light_challenge"], "in passive mode")
        if request.attestation_required and request.capture_key is None:
            raise not_supported(["attestation_required"], "without capture_key")
        challenges = () if passive else drawn_challenges(wanted["liveness_challenges"])
        colours, colour_ms = drawn_colours(len(challenges)) if request.light_challenge else ((), 0)
        created_s = at_ms // MS
        return SessionRecord(
            session_id=session_id,
            tenant=tenant,
            correlation_id=request.correlation_id,
            client_request_token=request.client_request_token,
            asked="",
            mode=mode,
            threshold=wanted["liveness_threshold"],
            challenges=challenges,
            colours=colours,
            colour_ms=colour_ms,
            attempts=wanted["attempts"],
            created_s=created_s,
            expires_s=created_s + wanted["token_lifetime_s"],
            token_id=secrets.token_hex(16),
            kid=self.tokens.signing_kid,
            capture_key=request.capture_key,
            attestation_required=request.attestation_required,
            reference_sha256=request.reference_sha256 or "",
            image_wanted=request.deliver_session_image,
            retry_count=risk.retry_count,
            open_flags=risk.open_flags,
        )

    def _requires_head_turn(self, switches: Switches) -> bool:
        """Whether the installation or the tenant does."""
        return bool(self.fallback.require_head_turn or switches.get(SESSIONS, {}).get("require_head_turn"))

    def _wanted(self, request: SessionRequest, of_tenant: Mapping[str, Any]) -> dict[str, Any]:
        """Fields by the command, else the tenant, else the installation, else the product."""
        own = {name: getattr(request, name) for name in SessionWishes.model_fields}
        product = {
            "liveness_mode": LivenessMode.PASSIVE,
            "liveness_threshold": DEFAULT_THRESHOLD,
            "liveness_challenges": list(CHALLENGES),
        }
        given = {name: value for name, value in own.items() if value is not None}
        return {**product, **self.fallback.given, **of_tenant, **given}


def session_id_of(tenant: str | None, client_request_token: str) -> str:
    digest = hashlib.sha256(orjson.dumps([tenant, client_request_token])).hexdigest()
    return f"ls_{digest[:32]}"


def not_supported(names: Sequence[str], where: str = "") -> CommandRefused:
    """Refusal by name of fields that ask for what is not here."""
    words = f"this service can't do what these fields ask for{f' {where}' if where else ''}: {', '.join(sorted(names))}"
    return CommandRefused(CommandErrorCode.NOT_SUPPORTED, words)


def _planned_again(held: Session, asked: str) -> CreationPlan:
    record = held.record
    if record.asked != asked:
        message = "client_request_token was used before with other parameters"
        raise CommandRefused(CommandErrorCode.REQUEST_TOKEN_USED, message)
    return CreationPlan(changed=_told(record), session_id=record.session_id, asked=asked)


def _told(record: SessionRecord) -> dict[str, Any]:
    """The part of a session that stays in the audit trail, which is kept for ever: nothing of the person."""
    flags = [dict(flag) for flag in record.open_flags]
    return {
        "session_id": record.session_id,
        "expires_at": iso8601(record.expires_ms),
        "retry_count": record.retry_count,
        "open_flags": flags,
        "warnings": list(record.warnings),
    }
