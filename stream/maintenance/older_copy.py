"""The comparison of Redis with the topics: an older copy of Redis' content lacks what was published after it.

A worker stores a decision, or a command's answer, before it publishes one. So what a topic has and Redis lacks was
forgotten, if it is younger than the content and too young to have expired. A record's age is its own time, that of the
decision or command: a topic that was restored, or copied to another cluster, has new append times only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from abuse.event_time import milliseconds
from abuse.review.audit import CommandLog, command_of
from abuse.store_time import StoreTime
from stream.events.message.messages import Record
from stream.events.topics import Topic
from stream.maintenance.rebuild_records import NOT_OURS, entry_of, published_of
from stream.pipeline.decision_store import DecisionStore

#: A decision may expire so much earlier than its own time says: the clock of a worker may be ahead of Redis'.
EXPIRES_EARLIER_MS = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicComparison:
    """Comparison for an installation's watch. `appended_since` reads the newest records of a topic; the stores, and
    `time`, answer without the guard that waits for the comparison. `decisions_kept_ms`: how long a decision is held."""

    appended_since: Callable[[Topic, int], Awaitable[Sequence[Record]]]
    decisions: DecisionStore
    commands: CommandLog
    time: StoreTime
    decisions_kept_ms: int

    async def is_older(self, since_ms: int) -> bool:
        """Whether the stores lack a decision or an answer that was made and appended after `since_ms`. May be
        repeated. Raises Unavailable."""
        unexpired_ms = await self.time.now_ms() - self.decisions_kept_ms + EXPIRES_EARLIER_MS
        for topic, from_ms, is_lacking in (
            (Topic.DECISIONS, max(since_ms, unexpired_ms), self._lacks_decision),
            (Topic.AUDIT, since_ms, self._lacks_answer),
        ):
            for record in await self.appended_since(topic, from_ms):
                try:
                    if await is_lacking(record.value or b"", from_ms):
                        return True
                except NOT_OURS:  # somebody else's record tells nothing
                    continue
        return False

    async def _lacks_decision(self, value: bytes, since_ms: int) -> bool:
        published = published_of(value)
        if published.decided_at_ms <= since_ms or not published.owns:  # others are under a name that isn't published
            return False
        return await self.decisions.find(published.ids) is None

    async def _lacks_answer(self, value: bytes, since_ms: int) -> bool:
        entry = entry_of(value)
        return milliseconds(entry["at"]) > since_ms and await self.commands.find(command_of(entry)) is None
