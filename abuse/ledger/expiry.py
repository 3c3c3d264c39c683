"""The end of flags: each expires once, stays readable for a while, and is forgotten."""

from __future__ import annotations

from abuse.flags.flag_events import expired
from abuse.flags.flags import FlagEvent, FlagState
from abuse.ledger.ledger import GRACE_MS, Ledger, find

#: Flags looked at in one sweep; the rest waits for the next.
MOST_AT_ONCE = 200


async def ended(ledger: Ledger, now_ms: int) -> list[FlagEvent]:
    """The flags that have expired and nobody has said so: publish each event, then `settle` it. Forgets, on the way,
    what has ended long ago, and puts off what was confirmed meanwhile."""
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


async def settle(ledger: Ledger, event: FlagEvent) -> None:
    """The event is published: the flag has ended, and is looked at once more to be forgotten.

    Erased at the same moment it leaves nothing: who erases says so before it looks what there is to erase, and here it
    is asked after everything is written.
    """
    await ledger.record([event])
    await ledger.later(event.flag_id, event.expires_at_ms + GRACE_MS)
    if await ledger.was_erased(event.flag_id):
        await ledger.forget(event.flag_id)
