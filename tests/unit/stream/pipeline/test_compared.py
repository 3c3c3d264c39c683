"""What a worker says at start-up of the comparison of faces and pictures, and what it does without."""

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
        book=InMemoryLinkStore(),
        ledger=InMemoryLedger(),
        policy=AbusePolicy(),
        faces=faces,
    )


async def said(compared: ReuseSearch | None) -> list[tuple[str, str]]:
    with capture_logs() as logs:
        await say_what_is_compared(compared)
    assert {entry["log_level"] for entry in logs} <= {"warning"}
    return [(entry["event"], entry["why"]) for entry in logs]


async def test_without_hash_keys_nothing_is_compared():
    ((event, why),) = await said(None)
    assert event == "reuse_off"
    assert "LIVENESS_ABUSE__HASH_KEYS" in why


async def test_without_a_calibrated_model_faces_are_not():
    compared = reuse(None)
    ((event, why),) = await said(compared)
    assert (event, "model" in why) == ("face_reuse_off", True)


async def test_a_server_that_can_t_keep_faces_is_asked_for_none():
    compared = reuse(Index(False))
    ((event, why),) = await said(compared)
    assert (event, "vector sets" in why, "8.0" in why) == ("face_reuse_off", True, True)
    assert compared.faces is None


async def test_where_all_is_compared_nothing_is_said():
    compared = reuse(Index(True))
    assert await said(compared) == []
    assert compared.faces is not None


async def test_a_server_that_is_away_is_not_taken_for_one_that_can_t():
    compared = reuse(Index(Unavailable("redis", "away")))
    with pytest.raises(Unavailable):
        await said(compared)
    assert compared.faces is not None
