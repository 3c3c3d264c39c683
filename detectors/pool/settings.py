"""Settings of the slot pool: number of slots and the limits of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors.pool.confinement.layers import Confinement

#: Set to 1 to let native libraries and slot tracebacks reach the worker's stderr.
DEBUG_VARIABLE = "LIVENESS_SLOT_STDERR"

#: One thread a library (the slots are the parallelism), OpenCV's own guard against giant pictures, and no reports of
#: onnxruntime to its makers, which it would also keep in a database under HOME.
NATIVE_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENCV_IO_MAX_IMAGE_PIXELS": "64000000",
    "ORT_DISABLE_TELEMETRY": "1",
}

#: What else of the worker's environment a slot may see. Everything is left out by default: the worker's
#: variables hold passwords, and a slot decodes strangers' files.
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV")
_PASSED_ON_PREFIXES = ("LC_", "LD_", "PYTHON", "MALLOC_", "MPL", "XDG_", "OPENCV_", "TF_", "GLOG_", "ORT_")


def available_cores() -> int:
    """Cores this process may run on (an affinity mask counts, a CFS quota does not)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Sizes and limits of the pool; the defaults suit selfies up to 10 MiB.

    `max_image_bytes` is for all frames of a job together. `memory_mib` limits a slot's address space: libraries and
    models map about 550 MiB, a 50 MP picture takes 150 MiB a copy. `recycle_after` bounds slow leaks of native
    code. `preload` is imported once, before any slot is forked from it, and must start no threads (onnxruntime
    does, so it is not here). `readable` names the analyser's own files and folders, beside code and libraries.
    """

    slots: int = field(default_factory=available_cores)
    deadline_s: float = 10.0
    start_timeout_s: float = 60.0
    memory_mib: int = 2048
    max_image_bytes: int = 11_534_336
    recycle_after: int = 5000
    preload: tuple[str, ...] = ("numpy", "cv2", "mediapipe")
    readable: tuple[str, ...] = ()
    confinement: Confinement = Confinement.WARN
    environment: Mapping[str, str] = field(default_factory=lambda: dict(NATIVE_ENVIRONMENT))

    def __post_init__(self) -> None:
        for name in ("slots", "deadline_s", "start_timeout_s", "memory_mib", "max_image_bytes", "recycle_after"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}")


def slot_environment(settings: PoolSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment of slot processes: the harmless part of `environ`, then the settings' own."""
    kept = {
        name: value for name, value in environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**kept, **settings.environment}
