"""A tiny network whose answers can be worked by hand: the mean of each colour channel, fed 0 to 255."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from config.catalogues.pad_networks import PadNetwork
from detectors.onnx.graph_writer import GraphWriter
from detectors.pad import PadSource

SIDE = 16


def channel_means() -> bytes:
    """Network that answers (1, 3): the mean of each channel in the order fed."""
    graph = GraphWriter("means")
    mean = graph.node("GlobalAveragePool", ["face"], "mean")
    return graph.model(("face", (1, 3, SIDE, SIDE)), (graph.node("Flatten", [mean], "scores", axis=1), (1, 3)))


def tiny_source(folder: Path, onnx: bytes | None = None, **changes: Any) -> PadSource:
    """Source of the tiny network in a folder; class 1 of 3 is bona fide unless a change says otherwise."""
    onnx = channel_means() if onnx is None else onnx
    file = folder / "means.onnx"
    file.write_bytes(onnx)
    told = {
        "name": "means",
        "label": "Means",
        "version": "1",
        "file": file.name,
        "licence": "CC0-1.0",
        "sha256": hashlib.sha256(onnx).hexdigest(),
        "trained_on": "nothing",
        "scale": 1 / 255,
        "side": SIDE,
        "crop": "shifted",
        "crop_scale": 1.5,
        "live_index": 1,
        "output_kind": "logits",
    }
    return PadSource(network=PadNetwork(**{**told, **changes}), file=file)


def manifest_text(network: PadNetwork, **changes: str) -> str:
    """Manifest of a network as its user would write it, with lines replaced by key (empty: left out)."""
    told = asdict(network)
    lines = {key: f'{key} = "{told[key]}"' for key in ("name", "label", "version", "file", "sha256", "licence")}
    lines |= {"trained_on": f'trained_on = "{network.trained_on}"', "live_index": f"live_index = {network.live_index}"}
    lines |= {"output_kind": f'output_kind = "{network.output_kind}"'}
    lines |= {"input": f'[input]\nside = {network.side}\nscale = {network.scale}\ncolour = "bgr"'}
    lines |= {"crop": f'[crop]\nrule = "{network.crop}"\nscale = {network.crop_scale}'}
    return "\n".join({**lines, **changes}.values())
