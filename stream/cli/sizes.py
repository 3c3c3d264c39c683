"""How many are kept, one size after another, as an option says it."""

from __future__ import annotations

import typer


def sizes(text: str, option: str) -> list[int]:
    """Comma-separated numbers, ascending; raises BadParameter that names the option."""
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter("expected numbers, comma-separated", param_hint=option)
    return sorted(int(part) for part in parts)
