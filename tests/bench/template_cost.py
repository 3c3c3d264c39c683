"""Cost of a face template on one thread, in time and memory: the source of the numbers in
`detectors/template/__init__.py`.

    .venv/bin/python tests/bench/template_cost.py [ROUNDS]      (after `liveness models prepare`)
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detectors.pool.settings import NATIVE_ENVIRONMENT

os.environ.update(NATIVE_ENVIRONMENT)

import numpy as np

from config.cache import cache_folder
from detectors import alignment, picture_hash
from detectors.pool.memory import resident_mib
from detectors.template import TemplateSource, open_template


def timed(what: str, rounds: int, work: Callable[[], object]) -> None:
    """Processor and wall time, so that a busy machine shows."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    wall_ms, cpu_ms = statistics.median(walls), statistics.median(cpus)
    print(f"{what:42} median {wall_ms:6.2f} ms wall, {cpu_ms:6.2f} ms processor, best {min(walls):6.2f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    source = TemplateSource(manifest=None, cache=cache_folder())
    before = resident_mib(os.getpid())[0]
    started = time.perf_counter()
    model = open_template(source)
    print(f"opening the model: {(time.perf_counter() - started) * 1000:.0f} ms")
    frame = np.random.default_rng(1).integers(0, 256, (960, 720, 3), np.uint8)
    grey = np.ascontiguousarray(frame[:, :, 1])
    points = np.array(model.spec.chip.points) * 3.0 + 100
    place = alignment.similarity(points, np.array(model.spec.chip.points))
    landmarks = np.random.default_rng(2).uniform(100, 600, (478, 3)).astype(np.float32)
    cut = alignment.cut(frame, place, model.spec.chip.side)
    timed("template of a chip", rounds, lambda: model.embed(cut))
    timed("chip out of a 720x960 frame, a third", rounds, lambda: alignment.cut(frame, place, model.spec.chip.side))
    timed("SHA-256 of a 720x960 frame", rounds, lambda: picture_hash.pixels_sha256(frame))
    timed("perceptual hash", rounds, lambda: picture_hash.perceptual(grey, landmarks))
    print(f"resident memory: {resident_mib(os.getpid())[0] - before:.0f} MiB more than before the model was opened")
    threads = len(list(Path("/proc/self/task").iterdir()))
    print(f"threads of this process: {threads}")


if __name__ == "__main__":
    main()
