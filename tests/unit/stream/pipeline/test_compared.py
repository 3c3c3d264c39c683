"""Warnings of a worker at start-up when faces or pictures can't be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from abuse.faces.face_index import InMemoryFaceIndex
from abuse.links.reuse import ReuseSearch
from config.errors import Unavailable
from stream.bootstrap.abuse import say_what_is_compared
from tests.unit.stream.fakes import Pipeline


class Index(InMemoryFaceIndex):
    """`answer`: whether the server keeps faces, or what is raised."""

    def __init__(self, answer: bool | Exception) -> None:
        super().__init__()
        self.answer = answer

    async def supported(self) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def reuse(answer: bool | Exception | None) -> ReuseSearch:
    """Search for reuse on a server that answers so; None: without a calibrated model."""
    search = Pipeline().reuse
    search.faces = None if answer is None else replace(search.faces, index=Index(answer))
    return search


async def said(compared: ReuseSearch | None) -> list[tuple[str, str]]:
    with capture_logs() as logs:
        await say_what_is_compared(compared)
    assert {entry["log_level"] for entry in logs} <= {"warning"}
    return [(entry["event"], entry["why"]) for entry in logs]


@pytest.mark.parametrize(
    ("compared", "event", "words"),
    [
        (None, "reuse_off", ["LIVENESS_ABUSE__HASH_KEYS"]),
        (reuse(None), "face_reuse_off", ["model"]),
        (reuse(False), "face_reuse_off", ["vector sets", "8.0"]),
    ],
    ids=["no hash keys", "no calibrated model", "no vector sets on the server"],
)
async def test_comparison_off(compared, event, words):
    ((found, why),) = await said(compared)
    assert (found, [word for word in words if word not in why]) == (event, [])
    assert compared is None or compared.faces is None


async def test_comparison_on():
    compared = reuse(True)
    assert await said(compared) == []
    assert compared.faces is not None


async def test_server_away():
    compared = reuse(Unavailable("redis", "away"))
    with pytest.raises(Unavailable):
        await said(compared)
    assert compared.faces is not None
