"""The webhook: attempts until the receiver takes the notice, refuses it for good, or has had long enough.

Any 2xx means taken. 400, 410, 413 and 422 speak about the notice itself, so it is set aside at once; everything
else may be mended at the other end (a key, a route, an overload) and is tried again, at growing random distances.
Nothing of the answer but its status and its Retry-After is used, and nothing of it is ever shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver

from config.groups.services import WebhookSettings
from stream.notify.notice import Notice
from stream.notify.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from stream.notify.targets import CheckedResolver, TargetRefused, WebhookTarget
from stream.runtime import metrics
from stream.runtime.clock import Clock

log = structlog.get_logger()

#: The receiver understood and refuses this very notice: the same bytes will get the same answer.
FINAL = frozenset(
    (HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
)
#: An answer's body is read only so that the connection can be used again; beyond this it is dropped instead.
MOST_ANSWER_BYTES = 64 * 1024
USER_AGENT = "liveness-stream"
#: A failing receiver is worth a log line now and then, not one an attempt.
SAY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Retries with exponential backoff and full jitter: a pause is random, up to a growing limit."""

    give_up_after_s: float
    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    #: A receiver may ask for a longer pause, up to this.
    longest_retry_after_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Delivery that the receiver took."""

    status: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeliverable:
    """Delivery given up. `why` is a status or an error's class: nothing of the request, nothing of the answer."""

    why: str
    attempts: int


DeliveryOutcome = Delivered | Undeliverable


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after_s: float | None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"HTTP {self.status}"


@dataclass(slots=True)
class Webhook:
    """Webhook of one target. Used from one event loop, any number of deliveries at once."""

    session: aiohttp.ClientSession
    target: WebhookTarget
    key: bytes = field(repr=False)
    retries: Retries
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _last_said: float = field(default=float("-inf"), init=False)

    async def deliver(self, notice: Notice) -> DeliveryOutcome:
        """Outcome of a delivery, several of which run at once; each takes as long as the retries allow. Raises only for
        bugs. May be repeated: a receiver recognises the event's id."""
        deadline = self.clock.monotonic() + self.retries.give_up_after_s
        attempts = 0
        while True:
            attempts += 1
            answer = await self._attempt(notice)
            if isinstance(answer, _Answer) and answer.taken:
                return Delivered(status=answer.status, attempts=attempts)
            left_s = deadline - self.clock.monotonic()
            if left_s <= 0 or (isinstance(answer, _Answer) and answer.status in FINAL):
                return Undeliverable(why=str(answer), attempts=attempts)
            pause_s = min(self._pause_s(attempts, answer), left_s)
            metrics.WEBHOOK_DELIVERIES.labels(outcome="retried").inc()
            self._say(str(answer), attempts, pause_s)
            await self.sleep(pause_s)

    def _pause_s(self, attempts: int, answer: _Answer | str) -> float:
        limits = self.retries
        limit_s = min(limits.longest_pause_s, limits.first_pause_s * 2.0 ** min(attempts - 1, 32))
        pause_s = random.uniform(0, limit_s)  # noqa: S311  # jitter, not a secret
        wished_s = answer.retry_after_s if isinstance(answer, _Answer) else None
        return pause_s if wished_s is None else max(pause_s, min(wished_s, limits.longest_retry_after_s))

    def _say(self, why: str, attempt: int, pause_s: float) -> None:
        now = self.clock.monotonic()
        if now - self._last_said >= SAY_EVERY_S:
            self._last_said = now
            log.warning("webhook_failing", why=why, attempt=attempt, next_in_s=round(pause_s, 1))

    async def _attempt(self, notice: Notice) -> _Answer | str:
        """Answer, or the class of an error. Signed anew each time: receivers refuse old signatures."""
        headers = {**notice.headers, **self._signature(notice)}
        try:
            async with self.session.post(
                self.target.url, data=notice.body, headers=headers, allow_redirects=False
            ) as response:
                answer = _Answer(response.status, self._retry_after_s(response.headers.get("Retry-After", "")))
                await _drain(response)
                return answer
        except (aiohttp.ClientError, TargetRefused, OSError) as error:  # TimeoutError is an OSError
            return type(error).__name__

    def _signature(self, notice: Notice) -> dict[str, str]:
        now_s = self.clock.now_ms() // 1000
        return {
            ID_HEADER: notice.event_id,
            TIMESTAMP_HEADER: str(now_s),
            SIGNATURE_HEADER: sign(self.key, notice.event_id, now_s, notice.body),
        }

    def _retry_after_s(self, value: str) -> float | None:
        """Seconds of a Retry-After header: a number or an HTTP date (RFC 9110, 10.2.3); None for other values."""
        if re.fullmatch(r"[0-9]{1,9}", value):
            return float(value)
        try:
            moment = parsedate_to_datetime(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return max(moment.timestamp() - self.clock.now_ms() / 1000, 0.0)
        except (ValueError, OverflowError, TypeError, IndexError):
            return None


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the body, which doesn't matter, lest the client close the connection. Raises nothing."""
    read = 0
    with contextlib.suppress(aiohttp.ClientError, OSError):
        while read < MOST_ANSWER_BYTES:
            part = await response.content.read(MOST_ANSWER_BYTES - read)
            if not part:
                return
            read += len(part)


@asynccontextmanager
async def open_webhook(
    target: WebhookTarget, key: bytes, settings: WebhookSettings, clock: Clock, *, at_once: int
) -> AsyncIterator[Webhook]:
    """Webhook over a session of its own, for as long as the context lasts."""
    async with session_for(target, timeout_s=settings.timeout_s, at_once=at_once) as session:
        log.info("notifier_started", target=target.origin, private_allowed=target.allow_private)
        yield Webhook(session, target, key, Retries(give_up_after_s=settings.give_up_after_s), clock)


@asynccontextmanager
async def session_for(
    target: WebhookTarget, *, timeout_s: float, at_once: int, lookup: AbstractResolver | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP client that reaches only what the target's rules allow.

    No proxy (a proxy would look names up and connect, unchecked), no cookies, no unpacking of answers, TLS always
    verified. Names aren't cached: each connection has its own look-up and check.
    """
    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(lookup or aiohttp.ThreadedResolver(), allow_private=target.allow_private),
        use_dns_cache=False,
        limit=at_once,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        trust_env=False,
        auto_decompress=False,
    ) as session:
        yield session
