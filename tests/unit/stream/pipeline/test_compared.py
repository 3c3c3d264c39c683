"""Warnings of a worker at start-up when faces or pictures can't be compared."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from abuse.faces.face_bounds import FaceBounds
from abuse.faces.face_index import InMemoryFaceIndex
from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.ledger.ledger import InMemoryLedger
from abuse.links.link_store import InMemoryLinkStore
from abuse.links.reuse import Faces, ReuseSearch
from abuse.pictures.media_index import InMemoryMediaIndex
from config.abuse import AbusePolicy
from config.errors import Unavailable
from stream.bootstrap.abuse import say_what_is_compared


class NoStrangers:
    def false_match_rate(self, distance: float) -> float:
        return 0.0

    def distance_for(self, rate: float) -> float:
        return 1.0


class Index(InMemoryFaceIndex):
    """`answer`: whether the server keeps faces, or what is raised."""

    def __init__(self, answer: bool | Exception) -> None:
        super().__init__()
        self.answer = answer

    async def supported(self) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def reuse(index: Index | None) -> ReuseSearch:
    faces = index and Faces(
        model="net",
        index=index,
        keys=TemplateProtection([HashKey(id="k1", secret=b"1" * 32)], 0),
        bounds=FaceBounds(impostors=NoStrangers(), farthest=0.6),
    )
    return ReuseSearch(
        pictures=InMemoryMediaIndex(),
        links=InMemoryLinkStore(),
        ledger=InMemoryLedger(),
        policy=AbusePolicy(),
        faces=faces,
    )


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
        (reuse(Index(False)), "face_reuse_off", ["vector sets", "8.0"]),
    ],
    ids=["no hash keys", "no calibrated model", "no vector sets on the server"],
)
async def test_comparison_off(compared, event, words):
    ((found, why),) = await said(compared)
    assert (found, [word for word in words if word not in why]) == (event, [])
    assert compared is None or compared.faces is None


async def test_comparison_on():
    compared = reuse(Index(True))
    assert await said(compared) == []
    assert compared.faces is not None


async def test_server_away():
    compared = reuse(Index(Unavailable("redis", "away")))
    with pytest.raises(Unavailable):
        await said(compared)
    assert compared.faces is not None
