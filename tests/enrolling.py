"""One more face or picture, as `abuse.links.reuse` does it: kept first, then others are looked for."""

from __future__ import annotations

from typing import Any


async def meeting(index: Any, sighting: Any, within: float) -> Any:
    """The answer of a face index or of an index of pictures."""
    await index.enrol([sighting])
    return await index.search(sighting, within)
