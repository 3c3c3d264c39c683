"""A manifest and a network to go with it, written on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.onnx.graph_writer import GraphWriter

Manifest = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Writes a tiny network (the mean of each colour) and a manifest for it; what a test cares about by name."""

    def make(*, layout: str = "nchw", onnx: bytes | None = None, **changes: Any) -> Path:
        made = onnx if onnx is not None else tiny_network(layout, changes.get("side", 112))
        (tmp_path / "tiny.onnx").write_bytes(made)
        keys: dict[str, Any] = {
            "name": "tiny",
            "version": "1",
            "file": "tiny.onnx",
            "sha256": hashlib.sha256(made).hexdigest(),
            "licence": "CC0-1.0",
            "dimension": 3,
            "distance": "cosine",
        }
        tables = {name: changes.pop(name, {}) for name in ("input", "chip", "calibration")}
        tables["input"] = {"side": changes.pop("side", 112), "layout": layout, **tables["input"]}
        keys |= changes
        path = tmp_path / "model.toml"
        path.write_text(as_toml(keys, tables))
        return path

    return make


def as_toml(keys: dict[str, Any], tables: dict[str, dict[str, Any]]) -> str:
    lines = [f"{name} = {toml_value(value)}" for name, value in keys.items() if value is not None]
    for name, table in tables.items():
        if table:
            lines += [f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def tiny_network(layout: str, side: int) -> bytes:
    """Mean of each channel, so that the answer tells what the network was fed."""
    graph = GraphWriter("tiny")
    value = "chip"
    if layout == "nhwc":
        value = graph.node("Transpose", [value], "channels_first", perm=(0, 3, 1, 2))
    value = graph.node("GlobalAveragePool", [value], "means")
    result = graph.node("Flatten", [value], "template", axis=1)
    return graph.model(("chip", (1, 3, side, side) if layout == "nchw" else (1, side, side, 3)), (result, (1, 3)))


@pytest.fixture(scope="session")
def chip_of() -> Callable[[int], np.ndarray]:
    def make(side: int) -> np.ndarray:
        import cv2

        noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX), np.uint8)

    return make
