"""Checks of the services by commands that a supervisor starts again: `liveness worker` and `liveness notify`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from config.errors import SettingsError
from config.settings import Settings

log = structlog.get_logger()

#: A supervisor may start a process again at once, and a server may lock a user out who is refused too often.
PAUSE_S = 5.0


def say_weakened(settings: Settings) -> None:
    """Warning of the settings that switch a check of the connections off."""
    if weakened := [*settings.kafka.weakened(), *settings.redis.weakened()]:
        log.warning("connections_unchecked", settings=weakened)


async def checked(check: Coroutine[Any, Any, None]) -> None:
    """Check of the services carried out; a refusal is said at once, and raised after a pause. Raises what it raises."""
    try:
        await check
    except SettingsError as error:
        log.critical("wrong_settings", why=str(error), ends_in_s=PAUSE_S)
        await asyncio.sleep(PAUSE_S)
        raise
