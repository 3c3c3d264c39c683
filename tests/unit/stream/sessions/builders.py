"""Sessions for tests: each builder takes only what a test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from abuse.flags.flag_events import PolicyName
from abuse.keys.key_periods import HashKey
from abuse.keys.subject_hasher import SubjectHasher
from abuse.ledger.ledger import Ledger
from abuse.rules.engine import AbuseEngine
from config.policy import Policy
from stream.encryption.reviewer_keys import SigningKey, new_signing_key
from stream.encryption.session_tokens import SessionTokens
from stream.events.message.session_terms import LivenessMode
from stream.sessions.desk import SessionDesk
from stream.sessions.risk import SessionRisks
from stream.sessions.session_record import SessionRecord
from stream.sessions.session_request import SessionDefaults
from stream.sessions.session_store import SessionStore
from tests.unit.stream.builders import APPENDED_AT_MS, GUID

KEY = new_signing_key("k1")
CREATED_S = APPENDED_AT_MS // 1000 - 5


class Keys(dict[str, SigningKey]):
    """A folder of keys in memory."""

    @property
    def kids(self) -> tuple[str, ...]:
        return tuple(sorted(self))


def tokens(**changes: Any) -> SessionTokens:
    return SessionTokens(**{"keys": Keys({"k1": KEY}), "issuer": "/test", "audience": "liveness", **changes})


def session_record(number: int = 1, **changes: Any) -> SessionRecord:
    record = SessionRecord(
        session_id=f"ls_{number:032x}",
        tenant=None,
        correlation_id=GUID,
        client_request_token=f"request-{number}",
        asked="00",
        mode=LivenessMode.PASSIVE,
        threshold=75,
        attempts=2,
        created_s=CREATED_S,
        expires_s=CREATED_S + 600,
        token_id=f"jti-{number}",
        kid="k1",
    )
    return replace(record, **changes)


def token_of(record: SessionRecord, **changes: Any) -> str:
    """Token of a session; changes are to its claims."""
    return tokens().sign(replace(record.claims, **changes), "k1")


def desk(ledger: Ledger, store: SessionStore, hashed: bool = True, **changes: Any) -> SessionDesk:
    """A desk as a worker has it."""
    policy = Policy()
    engine = AbuseEngine(policy.abuse, PolicyName(name=policy.name, sha256=policy.sha256))
    hasher = SubjectHasher([HashKey(id="k1", secret=b"s" * 32)], remember_ms=0) if hashed else None
    window_ms = policy.abuse.excessive_retries.attempt_window_s * 1000
    return SessionDesk(
        **{
            "store": store,
            "tokens": tokens(),
            "risks": SessionRisks(ledger=ledger, engine=engine, window_ms=window_ms),
            "fallback": SessionDefaults(attempts=1, token_lifetime_s=600),
            "hasher": hasher,
            **changes,
        }
    )
