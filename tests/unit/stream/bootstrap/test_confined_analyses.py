"""The shipped analyser, with whatever networks are there: a confined slot gives the same analyses as one that isn't."""

from __future__ import annotations

from dataclasses import replace

from config.groups.processing import DetectionSettings
from config.settings import Settings
from detectors.contract import Analysis, Frame
from stream.bootstrap.slots import open_pool
from stream.demo import attacks, scenario


async def analyses(confinement: str, images: list[bytes]) -> list[Analysis]:
    settings = Settings(detection=DetectionSettings(slots=1, confinement=confinement))
    pool = open_pool(settings, settings.policy())
    await pool.start()
    try:
        found = [(await pool.analyse((Frame(image),)))[0] for image in images]
        assert (confinement == "off") == bool(pool.missing_layers)
        assert pool.stats().restarts == {}
    finally:
        await pool.stop(grace_s=0)
    return [replace(each, elapsed_ms={}, cpu_ms=0) for each in found]


async def test_same_analyses_in_confinement() -> None:
    portrait = scenario.astronaut()
    photo = attacks.camera_photo(attacks.portrait(attacks.decode(portrait)))
    images = [photo, portrait, photo[: len(photo) // 2], b"\xff\xd8 no picture"]
    confined = await analyses("warn", images)
    assert confined == await analyses("off", images)
    assert confined[0].face_detected
