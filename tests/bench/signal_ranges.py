"""Measurements of every signal on real photographs and on simulated attacks: the source of the numbers beside
the score maps.

    python tests/bench/signal_ranges.py [FOLDER ...]      (default: $LIVENESS_TEST_IMAGES, the astronaut)

Prints one row a picture (confidence, verdict, eight scores), then each signal's range by kind, the ranges of
the measurements in its words, and time by step. The demo's attacks are imitations: this calibrates, it does
not measure error rates.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from config.policy import load
from detectors.analysis import FaceAnalyser
from stream.demo import attacks, scenario
from stream.pipeline.verdict.verdict import judge
from tests.photographs import folder as usual_folder

#: A measurement in a reading's words.
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")

BONA_FIDE: dict[str, Callable[[attacks.Photo], bytes]] = {
    "camera": attacks.camera_photo,
    "messenger": attacks.without_metadata,
}
DEGRADED: dict[str, Callable[[attacks.Photo], bytes]] = {"low quality": attacks.low_quality}


def photographs(folders: list[Path]) -> Iterator[tuple[str, bytes, attacks.Photo]]:
    """(name, file, photo no larger than a second camera would see) of every picture."""
    files = {path.stem: path.read_bytes() for folder in folders for path in sorted(folder.glob("*.jpg"))}
    for name, file in {**files, "astronaut": scenario.astronaut()}.items():
        photo = attacks.decode(file)
        if name == "astronaut":
            photo = attacks.portrait(photo)
        scale = min(1.0, 1280 / max(photo.shape[:2]))
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield name, file, np.asarray(small, np.uint8)


def main() -> None:
    folders = [Path(folder) for folder in sys.argv[1:]] or [usual_folder()]
    policy = load()
    analyser = FaceAnalyser(policy)
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    measured: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    elapsed: dict[str, list[float]] = defaultdict(list)
    print(f"{'picture':18}{'kind':18}{'conf':>6} {'verdict':13}", *(s.name[:9] for s in analyser.signals))
    for name, file, photo in photographs(folders):
        made = {kind: make(photo) for kind, make in {**BONA_FIDE, **attacks.ATTACKS, **DEGRADED}.items()}
        for kind, picture in {"as it is": file, **made}.items():
            analysis = analyser.analyse(picture)
            if analysis.error is not None:
                print(f"{name:18}{kind:18}{'':>6} {analysis.error}")
                continue
            verdict = judge(analysis, policy)
            cells = "      ".join(f"{reading.liveness:4.2f}" for reading in analysis.readings)
            print(f"{name:18}{kind:18}{verdict.confidence:6.3f} {verdict.kind:13}{cells}")
            for reading in analysis.readings:
                scores[reading.name, kind].append(reading.liveness)
                measured[reading.name, kind].append([float(number) for number in NUMBER.findall(reading.detail)])
            for step, ms in analysis.elapsed_ms.items():
                elapsed[step].append(ms)
    print("\nscore by kind: lowest, median, highest")
    for (signal, kind), values in sorted(scores.items()):
        print(f"{signal:18}{kind:18}{min(values):5.2f}{statistics.median(values):6.2f}{max(values):6.2f}")
    print("\nmeasurements by kind: lowest to highest of each number in the words")
    for (signal, kind), rows in sorted(measured.items()):
        ranges = [f"{min(column):g} to {max(column):g}" for column in zip(*rows, strict=False)]
        print(f"{signal:18}{kind:18}", ", ".join(ranges))
    print("\nmedian ms by step:", {step: round(statistics.median(v), 2) for step, v in elapsed.items()})


if __name__ == "__main__":
    main()
