"""A slot of the worker imports what an analysis needs and nothing of Kafka, Faust or Redis."""

from __future__ import annotations

from config import settings as configuration
from detectors.contract import Frame
from detectors.pool import PoolSettings, SlotPool
from stream.bootstrap import slots
from tests.unit.stream.bootstrap.slot_imports import ImportReport


async def imports_of_a_slot(factory: str, args: tuple[object, ...], preload: tuple[str, ...]) -> set[str]:
    pool = SlotPool(ImportReport, (factory, args), settings=PoolSettings(slots=1, preload=preload))
    await pool.start()
    try:
        (analysis,) = await pool.analyse((Frame(b"picture"),))
    finally:
        await pool.stop(grace_s=0)
    return set(analysis.message.split(","))


async def test_slot_knows_no_broker():
    """47 MB of private memory and most of a slot's start went into libraries that no analysis uses."""
    settings = configuration.load()
    arguments = (settings.policy().model_dump_json(), None, None)
    found = await imports_of_a_slot(slots.FACE_ANALYSER, arguments, slots.SLOT_PRELOAD)
    assert found == {"cv2", "mediapipe"}


async def test_import_report_can_fail():
    assert "redis" in await imports_of_a_slot("redis:__name__.upper", (), ())
