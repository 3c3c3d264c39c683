"""A presentation-attack network of your own: an ONNX file and a TOML manifest that says how to feed it.

    name = "my_network"               version = "3"                  label = "My network"
    file = "my_network.onnx"          # beside the manifest
    sha256 = "..."                    licence = "..."                trained_on = "..."
    live_index = 1                    output_kind = "logits"         # or "probabilities"
    output = "scores"                 # only where the network has several
    [input]
    side = 80                         colour = "bgr"                 layout = "nchw"
    mean = [0, 0, 0]                  scale = 1.0                    resize = "bilinear"
    [crop]
    rule = "shifted"                  # or "square"
    scale = 2.7

(One key a line in a real file.) `config.catalogues.pad_networks.PadNetwork` says what each key means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from config.catalogues.pad_networks import SHIPPED, PadNetwork
from detectors.onnx.manifest import InputTable, ManifestTable, NetworkManifest, read_keys, validated

_Words = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _Input(InputTable):
    side: int = Field(ge=16, le=512)
    resize: Literal["bilinear", "lanczos_or_area"] = "bilinear"


class _Crop(ManifestTable):
    rule: Literal["shifted", "square"]
    scale: float = Field(ge=0.5, le=8)


class _Manifest(NetworkManifest):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    label: _Words
    trained_on: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    live_index: int = Field(ge=0, le=999)
    output_kind: Literal["logits", "probabilities"]
    input: _Input
    crop: _Crop


def read(path: Path) -> tuple[PadNetwork, Path]:
    """Description of the network and its file, which is not opened here. Raises OSError, or ValueError that names each
    key at fault."""
    manifest = validated(_Manifest, read_keys(path))
    if manifest.name in {each.name for each in SHIPPED}:
        raise ValueError("name is that of a network described ready to use")
    network = PadNetwork(
        **manifest.model_dump(exclude={"input", "crop"}),
        **manifest.input.model_dump(),
        crop=manifest.crop.rule,
        crop_scale=manifest.crop.scale,
    )
    return network, path.parent / manifest.file
