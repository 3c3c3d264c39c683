"""`liveness abuse retention`: every store, and how long it keeps what it holds."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from config import settings as configuration
from stream.cli.console import JsonOption, out, print_json
from stream.maintenance.retention import Personal, Store, stores

UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
_COLOUR = {Personal.BIOMETRIC: "red", Personal.PERSONAL: "yellow", Personal.PSEUDONYMOUS: "yellow"}


def command(json: JsonOption = False) -> None:
    """Show everything that is kept: in memory, on topics, in Redis; what it holds, whose it is, and for how long.

    By the settings and policy here, which should be the workers'. Looks at nothing: `liveness topics check` does.
    """
    settings = configuration.load()
    for store in stores(settings, settings.policy()):
        print_json(document(store)) if json else out.print(_line(store))


def document(store: Store) -> dict[str, Any]:
    return {
        "store": store.name,
        "place": store.place,
        "holds": store.holds,
        "personal": store.personal,
        "life_s": None if store.life_ms is None else store.life_ms / 1000,
        "after": store.after,
        "erased": store.erased,
    }


def in_words(store: Store) -> str:
    """Retention of a store in words."""
    if store.life_ms is None:
        return "for ever" if store.place == "kafka" else store.after
    return f"{_spelled(store.life_ms // 1000)} after {store.after}"


def _spelled(seconds: int) -> str:
    """Duration in the largest unit of which there are two, and the rest in the next."""
    place = next(place for place, (size, _) in enumerate(UNITS) if seconds >= 2 * size or size == 1)
    parts = []
    for size, unit in UNITS[place : place + 2]:
        count, seconds = divmod(seconds, size)
        parts += [f"{count} {unit if count > 1 else unit[:-1]}"] if count else []
    return " ".join(parts)


def _line(store: Store) -> Text:
    return Text.assemble(
        f"{store.place:<6} ",
        (store.name, "bold"),
        f"  {store.holds}; ",
        (f"personal: {store.personal}", _COLOUR.get(store.personal, "dim")),
        f"; {in_words(store)}",
        "; erased with its subject" if store.erased else "",
    )
