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


async def expiry_of(ledger: Ledger, flag_id: str, now_ms: int) -> FlagEvent | None:
    """Expiry event of a due flag that has expired and is not stored as such. The sweeper publishes the event, then
    calls `record_expiry`. A flag that ended long ago is forgotten, one confirmed meanwhile put off. May be repeated."""
    flag = await find(ledger, flag_id)
    if flag is None:
        await ledger.forget(flag_id)
    elif flag.expires_at_ms > now_ms:
        await ledger.later(flag_id, flag.expires_at_ms)
    elif flag.state not in (FlagState.EXPIRED, FlagState.OVERRIDDEN):
        return expired(flag)  # however late: nobody may have looked for a week
    elif flag.expires_at_ms + GRACE_MS > now_ms:
        await ledger.later(flag_id, flag.expires_at_ms + GRACE_MS)
    else:
        await ledger.forget(flag_id)
    return None


async def record_expiry(ledger: Ledger, event: FlagEvent) -> None:
    """Store a published expiry; the flag is looked at once more, to be forgotten. May be repeated.

    A flag erased at the same moment leaves nothing: an erasure announces itself before it looks for what to remove, and
    the announcement is read here after everything is written.
    """
    await ledger.record([event])
    await ledger.later(event.flag_id, event.expires_at_ms + GRACE_MS)
    if await ledger.was_erased(event.flag_id):
        await ledger.forget(event.flag_id)
