"""The gate of sessions: the token first, which needs no store, then an attempt of the session."""

from __future__ import annotations

from dataclasses import dataclass

from abuse.event_time import MS
from stream.encryption.session_tokens import SessionTokens, TokenClaims, TokenFault
from stream.events.message.messages import Refusal, Submission
from stream.events.message.session_terms import SessionTerms
from stream.pipeline.admission.session_refusals import SessionRefusal, refusal_for
from stream.sessions.client_network import ClientNetworks
from stream.sessions.session import ATTEMPT, Session, SessionAttempt, SessionState, session_from
from stream.sessions.session_store import SessionName, SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTokenGate:
    """Adapter of the port `SessionGate`. `required`: of every tenant. `networks`: None without hash keys, under which
    no session expects a network."""

    store: SessionStore
    tokens: SessionTokens
    networks: ClientNetworks | None = None
    required: bool = False

    async def admit(self, submission: Submission, *, required: bool) -> SessionTerms | Refusal | None:
        if submission.session_token is None:
            return refusal_for(SessionRefusal.TOKEN_MISSING) if required or self.required else None
        claims = self.tokens.claims(submission.session_token, submission.appended_at_ms)
        if isinstance(claims, TokenFault):
            return refusal_for(SessionRefusal(claims.value))
        other = self._of_another(claims, submission)
        return await self._claimed(claims, submission) if other is None else refusal_for(other)

    async def _claimed(self, claims: TokenClaims, submission: Submission) -> SessionTerms | Refusal:
        """Attempt of the submission: its own, or the first that is free. A token that is refused takes none."""
        name = SessionName(claims.tenant, claims.session_id)
        claim = SessionAttempt.of(submission)
        session = session_from(await self.store.read(name))
        while True:
            if session is None or session.record.claims != claims:  # also of a thief of the key, who can sign anything
                return refusal_for(SessionRefusal.UNKNOWN)
            if (fault := _over(session, claim.fingerprint)) is not None:
                return refusal_for(fault)
            if (own := session.attempt_of(claim.fingerprint)) is not None:
                return session.record.terms(own, active_step=session.active_since is not None)
            if session.next_attempt is None:
                return refusal_for(SessionRefusal.ATTEMPTS_SPENT)
            session = session_from(await self.store.add(name, {f"{ATTEMPT}{session.next_attempt}": claim.to_text()}))

    def _of_another(self, claims: TokenClaims, submission: Submission) -> SessionRefusal | None:
        """Reason why a token that is good is not this submission's."""
        ids, told = submission.ids, submission.context.client_ip
        if ids.tenant != claims.tenant:
            return SessionRefusal.OTHER_TENANT
        if ids.correlation_id != claims.correlation_id:
            return SessionRefusal.OTHER_CORRELATION_ID
        if ids.session_id not in (None, claims.session_id):
            return SessionRefusal.OTHER_SESSION
        if claims.network is None:
            return None
        at_ms = claims.issued_s * MS
        inside = self.networks is not None and self.networks.holds(claims.network, claims.tenant, told, at_ms)
        return None if inside else SessionRefusal.ADDRESS_UNEXPECTED


#: Reasons by the state that a session ended in.
_OVER = {SessionState.CANCELLED: SessionRefusal.CANCELLED, SessionState.FAILED: SessionRefusal.ATTEMPTS_SPENT}


def _over(session: Session, fingerprint: str) -> SessionRefusal | None:
    """Reason why a session that has ended takes no more, but for the submission that ended it."""
    end = session.end
    if end is None or end.cause == f"{ATTEMPT}{session.attempt_of(fingerprint)}":
        return None
    return _OVER.get(end.state, SessionRefusal.ENDED)
