"""`liveness worker` whose slots sleep instead of computing: the worker's own cost, whatever the processor."""

from __future__ import annotations

import time

from config import settings as configuration
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Analysis, Reading, ReadingStatus
from stream.bootstrap import slots
from stream.bootstrap import worker as bootstrap
from stream.kafka.worker.run import run
from stream.runtime import logs

SLEEP_S = 0.2


class Sleeping:
    """Analyser that answers every picture with the same LIVE readings."""

    def __init__(self, *_settings: object) -> None:
        self._readings = tuple(
            Reading(name=name, label=label, status=ReadingStatus.SCORED, liveness=1.0, detail="Simulated.")
            for name, label in SIGNAL_LABELS.items()
        )

    def analyse(self, _image: memoryview, /, *, measured: bool = False, rest: object = None) -> Analysis:
        time.sleep(SLEEP_S)
        return Analysis(face_detected=True, readings=self._readings)


if __name__ == "__main__":
    settings = configuration.load()
    logs.configure(settings.log)
    slots.SLOT_PRELOAD = (__spec__.name,)  # the libraries of a real analyser take seconds
    run(bootstrap.build_worker(settings, analyser=f"{__spec__.name}:Sleeping"))
