"""Manifest of a network, in TOML: the part that every network has (name, licence, file, input)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from config.validation import mistakes
from detectors.onnx.input_format import InputFormat

MAX_MANIFEST_BYTES = 64 * 1024

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}$")]


class ManifestTable(BaseModel):
    """A table of a manifest: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputTable(ManifestTable):
    """`[input]`: see `InputFormat`."""

    colour: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = Field(1.0, gt=0)

    def format(self) -> InputFormat:
        return InputFormat(colour=self.colour, layout=self.layout, mean=self.mean, scale=self.scale)


class NetworkManifest(ManifestTable):
    """Keys at the top of a manifest. `file` lies beside the manifest; `sha256` is of its bytes; `output` is the
    network's output by name, absent where the network has only one."""

    name: _Name
    version: _Name
    file: Annotated[str, StringConstraints(pattern=r"^[^/\\\x00]{1,200}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    licence: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    output: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


_Kind = TypeVar("_Kind", bound=ManifestTable)


def read_keys(path: Path) -> dict[str, Any]:
    """Keys of a TOML file of at most `MAX_MANIFEST_BYTES`; raises OSError or ValueError."""
    with path.open("rb") as file:
        text = file.read(MAX_MANIFEST_BYTES + 1)
    if len(text) > MAX_MANIFEST_BYTES:
        raise ValueError("the manifest is too large")
    return tomllib.loads(text.decode())


def validated(kind: type[_Kind], keys: dict[str, Any]) -> _Kind:
    """The manifest with these keys; raises ValueError that names each key at fault and quotes no value."""
    try:
        return kind.model_validate(keys)
    except ValidationError as error:
        raise ValueError(mistakes(error, "manifest")) from None
