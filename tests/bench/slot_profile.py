"""Cost of each step of a selfie's analysis in a slot, in processor time: a table of docs/BENCHMARK.md.

    .venv/bin/python -m tests.bench.slot_profile [FOLDER] [--rounds 5] [--sizes 720x960 1080x1440 12MP]

Settings, policy, networks and template are those of the environment, as in a worker. Photographs (default:
$LIVENESS_TEST_IMAGES, at most 20 with one face) are scaled to each size. The process keeps to one core, and sizes take
turns picture by picture, so that a busy machine slows all of them alike. Figures are medians of processor time in
milliseconds. A step is a function of the analysis, timed where it stands; what it calls of another step counts for the
other only, and what is in no step is the rest.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from detectors.pool.settings import NATIVE_ENVIRONMENT

os.environ.update(NATIVE_ENVIRONMENT)

from config.settings import Settings
from detectors import alignment, analysis, analysis_codec, frame, framing, image_gate, picture_hash
from stream.bench.photographs import SIZES, from_files
from stream.bootstrap.models import network_sources, template_source
from tests.photographs import folder as usual_folder

MOST_PHOTOGRAPHS = 20
WHOLE, REST = "whole", "rest"

#: (owner, function, step) of what every analysis has.
STEPS: tuple[tuple[Any, str, str], ...] = (
    (image_gate, "inspect", "gate"),
    (analysis, "indications_of", "injection"),
    (frame, "decode_whole", "decode: JPEG"),
    (analysis, "decode", "decode: scaling, grey"),
    (analysis, "pose_of", "framing"),
    (framing, "needs_count", "framing"),
    (framing, "choose", "framing"),
    (framing, "requirements_missed", "framing"),
    (alignment, "cut", "template: chip"),
    (picture_hash, "pixels_sha256", "hash of the pixels"),
    (picture_hash, "perceptual", "perceptual hash"),
    (analysis_codec, "encode", "answer"),
)


class Stopwatches:
    """Own processor time of each step since the last look, milliseconds."""

    def __init__(self) -> None:
        self._taken: dict[str, float] = defaultdict(float)
        self._inside = [0.0]

    def watch(self, owner: Any, function: str, step: str) -> None:
        """Time a function of a module or an object from now on."""
        setattr(owner, function, self.timed(getattr(owner, function), step))

    def timed(self, work: Callable[..., Any], step: str) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            started = process_time()
            try:
                return work(*arguments, **named)
            finally:
                taken = (process_time() - started) * 1000
                self._taken[step] += taken - self._inside.pop()
                self._inside[-1] += taken

        return measured

    def take(self) -> dict[str, float]:
        """Times by step, and of all together; counted anew from here on."""
        taken, self._taken = dict(self._taken), defaultdict(float)
        return {**taken, WHOLE: sum(taken.values())}


def watched_analysis(settings: Settings, watches: Stopwatches) -> Callable[[bytes], str | None]:
    """The work of a slot on one picture, with every step timed; gives the analysis' error."""
    policy = settings.policy()
    networks = network_sources(settings, policy)
    analyser = analysis.FaceAnalyser(
        policy, settings.detection.face_landmarker_bundle, template_source(settings, policy), networks
    )
    models = ((analyser.mesh, "find", "mesh"), (analyser.counter, "find", "counter"))
    signals = ((signal, "read", f"signal: {signal.name}") for signal in analyser.signals)
    asked = ((network, "read", f"network: {network.network.name}") for network in analyser.networks)
    template = () if analyser.template is None else ((analyser.template, "embed", "template: network"),)
    for owner, function, step in (*STEPS, *models, *signals, *asked, *template):
        watches.watch(owner, function, step)

    def work(image: bytes) -> str | None:
        answer = analyser.analyse(image)
        analysis_codec.encode(answer)
        return answer.error

    return watches.timed(work, REST)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, nargs="?", default=usual_folder())
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    chosen = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    watches = Stopwatches()
    work = watched_analysis(Settings(), watches)
    files = [file for file in sorted(chosen.folder.glob("*.jpg")) if work(file.read_bytes()) is None]
    pictures = [
        (size, from_files(SIZES[size], [file])[0]) for file in files[:MOST_PHOTOGRAPHS] for size in chosen.sizes
    ]
    taken: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(chosen.rounds + 1):
        for size, image in pictures:
            watches.take()
            work(image)
            if number:  # the first round warms up
                taken[size].append(watches.take())
    show(taken, len(pictures) // len(chosen.sizes))


def show(taken: dict[str, list[dict[str, float]]], files: int) -> None:
    """Print a row a step, a column a size; a step that some pictures do without has its median where it ran."""
    print(f"{files} photographs; median milliseconds of processor time")
    print(f"{'step':32}", *(f"{size:>12}" for size in taken))
    steps = dict.fromkeys(step for each in taken.values() for times in each for step in times if step != WHOLE)
    for step in (*steps, WHOLE):
        ran = [[times[step] for times in each if step in times] for each in taken.values()]
        rare = "" if all(len(times) == len(each) for times, each in zip(ran, taken.values(), strict=True)) else "*"
        print(f"{step + rare:32}", *(f"{statistics.median(times):12.2f}" for times in ran))
    print("* not in every picture")


if __name__ == "__main__":
    main()
