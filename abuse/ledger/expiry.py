"""The end of flags: each expires once, stays readable for a while, and is forgotten."""

from __future__ import annotations

from abuse.event_time import MS
from abuse.flags.flag_events import expired
from abuse.flags.flags import FlagEvent, FlagState
from abuse.ledger.ledger import GRACE_MS, Ledger, find

#: Flags looked at in one sweep; the rest waits for the next.
MOST_AT_ONCE = 200
#: Sweeps a turn lasts: a worker that died is replaced after its turn.
TURN_SWEEPS = 3


def turn_ms(sweep_s: float) -> int:
    """How long one worker's turn to sweep lasts."""
    return int(TURN_SWEEPS * sweep_s * MS)


async def expire_due(ledger: Ledger, now_ms: int) -> list[FlagEvent]:
    """Expiry events of the flags that have expired and are not stored as such: the sweeper publishes each, then calls
    `record_expiry`. On the way, flags that ended long ago are forgotten, and flags confirmed meanwhile are put off."""
    events = []
    for flag_id in await ledger.due(now_ms, MOST_AT_ONCE):
        flag = await find(ledger, flag_id)
        if flag is None:
            await ledger.forget(flag_id)
        elif flag.expires_at_ms > now_ms:
            await ledger.later(flag_id, flag.expires_at_ms)
        elif flag.state not in (FlagState.EXPIRED, FlagState.OVERRIDDEN):
            events.append(expired(flag))  # however late: nobody may have looked for a week
        elif flag.expires_at_ms + GRACE_MS > now_ms:
            await ledger.later(flag_id, flag.expires_at_ms + GRACE_MS)
        else:
            await ledger.forget(flag_id)
    return events


async def record_expiry(ledger: Ledger, event: FlagEvent) -> None:
    """Store a published expiry; the flag is looked at once more, to be forgotten. May be repeated.

    A flag erased at the same moment leaves nothing: an erasure announces itself before it looks for what to remove, and
    the announcement is read here after everything is written.
    """
    await ledger.record([event])
    await ledger.later(event.flag_id, event.expires_at_ms + GRACE_MS)
    if await ledger.was_erased(event.flag_id):
        await ledger.forget(event.flag_id)
