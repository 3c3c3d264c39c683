"""The stage of the notifier's agent: one flag event in, nothing to publish once it is delivered, or its dead letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import structlog

from stream.events.message.messages import Output, Record
from stream.events.wire.dead_letter import DeadLetters
from stream.notify.notice import NoNotice, notice_of
from stream.notify.webhook import Delivered, Undeliverable, Webhook
from stream.runtime import metrics

log = structlog.get_logger()

REASON = "WEBHOOK_FAILED"
#: Enough for a slow receiver, few enough not to be an attack on one that is coming back.
DELIVERIES_AT_ONCE = 16
#: Delivered behind one that isn't, at most: what a crash would have posted again.
MOST_UNACKNOWLEDGED = 4096


class NotifyStage:
    """Stage that posts flags through a webhook, opened before the first record and closed after the last.

    A flag counts as done when it was taken or set aside, so that no earlier commit covers its offset. Receivers may get
    flags out of order, and again after a crash or a rebalance.
    """

    def __init__(
        self, open_webhook: Callable[[], AbstractAsyncContextManager[Webhook]], *, dead_letters: DeadLetters
    ) -> None:
        self._open_webhook = open_webhook
        self._dead_letters = dead_letters
        self._opened = AsyncExitStack()
        self._webhook: Webhook | None = None

    async def open(self) -> None:
        """Open the webhook: called once by the worker, before the first record, on the loop that calls `handle`."""
        self._webhook = await self._opened.enter_async_context(self._open_webhook())

    async def close(self) -> None:
        await self._opened.aclose()

    async def handle(self, record: Record) -> Sequence[Output]:
        """Deliver the flag: may take minutes, and ends by the webhook's deadline. Raises only for bugs."""
        assert self._webhook is not None, "opened by the worker before the first record"
        try:
            outcome = await self._webhook.deliver(notice_of(record))
        except NoNotice as error:
            outcome = Undeliverable(why=str(error), attempts=0)
        if isinstance(outcome, Delivered):
            metrics.WEBHOOK_DELIVERIES.labels(outcome="delivered").inc()
            return []
        return [self._set_aside(record, outcome)]

    async def answer(self, record: Record) -> Sequence[Output]:
        """No answer: a flag has no sender."""
        return []

    def _set_aside(self, record: Record, outcome: Undeliverable) -> Output:
        metrics.WEBHOOK_DELIVERIES.labels(outcome="set_aside").inc()
        place = {"partition": record.partition, "offset": record.offset}
        log.warning("flag_set_aside", why=outcome.why, attempts=outcome.attempts, **place)
        return self._dead_letters.letter(record, reason=REASON, message=outcome.why)
