"""Presentation-attack networks by setting: their descriptions and files, or the detectors themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.catalogues.pad_networks import PadNetwork, chosen, network_file
from detectors.contract import ModelVersion
from detectors.onnx.files import ModelFileUnusable, read_model
from detectors.pad import manifest

if TYPE_CHECKING:
    from detectors.pad.network import PadDetector

#: Makes the shipped networks' files ready.
FETCH = "liveness models fetch"


class PadNetworkUnusable(ValueError):
    """Network file or manifest that can't be used; the words say why and what mends the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PadSource:
    """Source of one network: the description and the place of the file."""

    network: PadNetwork
    file: Path

    @property
    def model(self) -> ModelVersion:
        return ModelVersion(name=self.network.name, version=self.network.version, sha256=self.network.sha256)


def sources(names: Collection[str] | None, manifests: Iterable[Path], cache: Path) -> tuple[PadSource, ...]:
    """Sources of the networks that take part, the shipped ones first (`config.catalogues.pad_networks.chosen`). Raises
    PadNetworkUnusable for an unknown name, a bad manifest or a name that stands twice."""
    try:
        found = [PadSource(network=each, file=network_file(each, cache)) for each in chosen(names, cache)]
    except ValueError as error:
        raise PadNetworkUnusable(str(error)) from None
    for path in manifests:
        try:
            network, file = manifest.read(path)
        except (OSError, ValueError) as error:
            raise PadNetworkUnusable(f"{path.name}: {error}") from None
        if network.name in {each.network.name for each in found}:
            raise PadNetworkUnusable(f"{path.name}: two networks have the name {network.name}")
        found.append(PadSource(network=network, file=file))
    return tuple(found)


def load(source: PadSource) -> bytes:
    """Bytes of a network's file, SHA-256 checked; raises PadNetworkUnusable."""
    try:
        return read_model(source.file, source.network.sha256)
    except ModelFileUnusable as error:
        mend = f"; run: {FETCH}" if source.network.home else ""
        raise PadNetworkUnusable(f"the attack network {error}{mend}") from None


def open_networks(found: Sequence[PadSource]) -> tuple[PadDetector, ...]:
    """Detectors, ready to use; raises ValueError. Loads onnxruntime: for slot processes only."""
    from detectors.pad.network import PadDetector  # noqa: PLC0415  # see above

    return tuple(PadDetector(source.network, load(source)) for source in found)
