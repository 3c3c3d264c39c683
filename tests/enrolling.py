"""Enrolment of one more face or picture, then its search: the order in which `abuse.links.reuse` does both."""

from __future__ import annotations

from typing import Any


async def enrol_and_search(index: Any, reference: Any, within: float) -> Any:
    """The result of a face index or of an image index."""
    await index.enrol([reference])
    return await index.search(reference, within)
