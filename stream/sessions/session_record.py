"""Session records: what was agreed when a session was created, written once and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from pydantic import TypeAdapter

from abuse.event_time import MS
from config.catalogues.challenges import HEAD_TURNS, Challenge, Colour
from stream.encryption.session_tokens import TokenClaims, token_id_of
from stream.events.message.session_terms import LivenessMode, SessionTerms


class SessionWarning(StrEnum):
    """Warning in the answer to `session.create`, for the app server's developers."""

    NO_HEAD_TURN = "no_head_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """Record of a session's creation. Times are UTC seconds.

    `asked`: digest of what the command asked for, which tells a repeat from other parameters under one client request
    token. `network`: the expected network of the client, keyed (`stream.sessions.client_network`). `retry_count` and
    `open_flags`: the risk as it was told in the answer.
    """

    session_id: str
    tenant: str | None
    correlation_id: str
    client_request_token: str
    asked: str
    mode: LivenessMode
    threshold: int
    challenges: tuple[Challenge, ...] = ()
    colours: tuple[Colour, ...] = ()
    colour_ms: int = 0
    attempts: int
    created_s: int
    expires_s: int
    token_id: str = field(repr=False)
    kid: str
    capture_key: dict[str, str] | None = None
    attestation_required: bool = False
    reference_sha256: str = ""
    image_wanted: bool = False
    network: str | None = None
    retry_count: int = 0
    open_flags: tuple[dict[str, Any], ...] = ()

    @property
    def expires_ms(self) -> int:
        return self.expires_s * MS

    @property
    def warnings(self) -> tuple[SessionWarning, ...]:
        """Warnings about what was asked for. Without a head turn nothing tells a flat picture from a face."""
        flat = bool(self.challenges) and HEAD_TURNS.isdisjoint(self.challenges)
        return (SessionWarning.NO_HEAD_TURN,) if flat else ()

    @property
    def claims(self) -> TokenClaims:
        """Claims of the session's token."""
        return TokenClaims(
            session_id=self.session_id,
            correlation_id=self.correlation_id,
            tenant=self.tenant,
            token_id=self.token_id,
            issued_s=self.created_s,
            expires_s=self.expires_s,
            capture_key=self.capture_key,
            network=self.network,
        )

    def terms(self, attempt: int, *, active_step: bool) -> SessionTerms:
        """Terms of one attempt. The nonce is the token's id, which the client reads from the token."""
        return SessionTerms(
            session_id=self.session_id,
            mode=self.mode,
            active=self.mode is LivenessMode.ACTIVE or (self.mode is LivenessMode.PASSIVE_ACTIVE and active_step),
            threshold=self.threshold,
            challenges=self.challenges,
            colours=self.colours,
            colour_ms=self.colour_ms,
            attempt=attempt,
            attempts_allowed=self.attempts,
            capture_key="" if self.capture_key is None else orjson.dumps(self.capture_key).decode(),
            nonce=self.token_id,
            attestation_required=self.attestation_required,
            reference_sha256=self.reference_sha256,
            image_wanted=self.image_wanted,
        )


#: Unknown fields are passed over, and new ones need a default: workers of two versions read one store.
_RECORD = TypeAdapter(SessionRecord)
#: The token's id is in the token.
_IN_ANSWER = {"token_id", "retry_count", "open_flags"}


def to_text(record: SessionRecord) -> str:
    return _RECORD.dump_json(record).decode()


def told_text(record: SessionRecord) -> str:
    """Record for the header of the answer to `session.create`, without what the answer itself tells."""
    return _RECORD.dump_json(record, exclude=_IN_ANSWER).decode()


def record_of_answer(text: str, answer: Mapping[str, Any]) -> SessionRecord:
    """Record of an answer with its header's text. Raises ValueError, KeyError, TypeError or AttributeError for what no
    worker wrote."""
    told = {"retry_count": answer["retry_count"], "open_flags": answer["open_flags"]}
    return record_from(orjson.dumps({**orjson.loads(text), **told, "token_id": token_id_of(answer["token"])}).decode())


def record_from(text: str) -> SessionRecord:
    """Raises ValueError for what no worker wrote."""
    return _RECORD.validate_json(text)
