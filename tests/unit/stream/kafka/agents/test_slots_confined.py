"""The line about the slots' confinement at a worker's start, and the metric."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from detectors.pool import Layer
from stream.kafka.worker import worker

OTHERS = ["memory", "capabilities", "seccomp", "limits"]


@pytest.mark.parametrize(
    ("missing", "level", "on"),
    [({}, "info", [str(layer) for layer in Layer]), ({Layer.LANDLOCK: "not in this kernel"}, "warning", OTHERS)],
)
def test_layers_are_said(missing: dict[Layer, str], level: str, on: list[str]) -> None:
    pool: Any = SimpleNamespace(missing_layers=missing)
    with capture_logs() as lines:
        worker._say_confinement(pool)
    words = {str(layer): why for layer, why in missing.items()}
    assert lines == [{"event": "slots_confined", "log_level": level, "layers": on, "missing": words}]
    shown = {str(layer): REGISTRY.get_sample_value("liveness_slot_confinement", {"layer": layer}) for layer in Layer}
    assert shown == {str(layer): float(layer not in missing) for layer in Layer}
