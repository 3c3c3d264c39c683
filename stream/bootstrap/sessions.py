"""Components of sessions, made from settings; nothing is sent before the first call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from abuse.event_time import MS
from abuse.flags.flags import Severity
from abuse.keys.subject_hasher import SubjectHasher
from abuse.ledger.ledger import Ledger
from abuse.networks.watched_files import keep_current
from abuse.redis_port import RedisClient
from abuse.rules.engine import AbuseEngine
from config.errors import SettingsError
from config.policy import Policy
from config.settings import Settings
from stream.encryption.key_folder import SessionKeys
from stream.encryption.session_tokens import SessionTokens
from stream.kafka.worker.worker import BackgroundTask
from stream.pipeline.admission.session_gate import NO_SESSIONS, SessionGate
from stream.redis.session_store import RedisSessionStore
from stream.sessions.client_network import ClientNetworks
from stream.sessions.desk import SessionDesk
from stream.sessions.gate import SessionTokenGate
from stream.sessions.risk import SessionRisks
from stream.sessions.session_request import SessionDefaults
from stream.sessions.session_store import SessionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """Parts of sessions in one worker. `keys`: None where sessions are off."""

    settings: Settings
    policy: Policy
    store: SessionStore
    keys: SessionKeys | None
    hasher: SubjectHasher | None

    @property
    def gate(self) -> SessionGate:
        """Gate of admission."""
        if self.keys is None:
            return NO_SESSIONS
        networks = None if self.hasher is None else ClientNetworks(self.hasher)
        required = self.settings.sessions.required
        return SessionTokenGate(store=self.store, tokens=self._tokens(self.keys), networks=networks, required=required)

    def desk(self, ledger: Ledger, engine: AbuseEngine) -> SessionDesk | None:
        """Desk of the commands."""
        if self.keys is None:
            return None
        wanted = self.settings.sessions
        risks = SessionRisks(
            ledger=ledger,
            engine=engine,
            window_ms=self.policy.abuse.excessive_retries.attempt_window_s * MS,
            severity=Severity(wanted.stop_severity),
            kinds=None if wanted.stop_kinds is None else frozenset(wanted.stop_kinds),
        )
        fallback = SessionDefaults(
            attempts=wanted.attempts,
            token_lifetime_s=wanted.token_lifetime_s,
            require_head_turn=wanted.require_head_turn,
        )
        tokens = self._tokens(self.keys)
        return SessionDesk(store=self.store, tokens=tokens, risks=risks, fallback=fallback, hasher=self.hasher)

    @property
    def background_tasks(self) -> list[BackgroundTask]:
        """Watches of a worker that signs or checks tokens."""
        if self.keys is None:
            return []
        return [partial(keep_current, self.keys.refresh, self.settings.sessions.key_reload_s)]

    def _tokens(self, keys: SessionKeys) -> SessionTokens:
        return SessionTokens(
            keys=keys,
            issuer=self.settings.source,
            audience=self.settings.session_audience,
            signs=self.settings.sessions.signing_key,
        )


def open_session_store(settings: Settings, calls: RedisClient) -> SessionStore:
    """Session store of an installation; there are sessions in it also where none can be created any more."""
    wanted = settings.sessions
    grace_ms = round(wanted.expiry_grace_s * MS)
    return RedisSessionStore(calls, settings.redis_prefix, wanted.retention_s, grace_ms)


def open_session_keys(settings: Settings) -> SessionKeys | None:
    """Keys of session tokens, read once. Blocks. Raises SettingsError naming the unusable file."""
    wanted = settings.sessions
    if wanted.keys is None:
        return None
    keys = SessionKeys(wanted.keys)
    keys.open()
    if wanted.signing_key is not None and keys.get(wanted.signing_key) is None:
        raise SettingsError(f"sessions.signing_key: {wanted.keys} holds no key of this kid")
    return keys
