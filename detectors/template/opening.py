"""Template models by setting: the specification alone (no weights, no onnxruntime), or the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.onnx.files import ModelFileUnusable, read_model
from detectors.template import built_in, manifest
from detectors.template.port import TemplateSpec

if TYPE_CHECKING:
    from detectors.template.onnx_model import TemplateModel


class TemplateModelUnusable(ValueError):
    """Model file or manifest that can't be used; the words say why and what mends the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSource:
    """Source of the template model: a manifest, or (None) the built-in model in the cache folder."""

    manifest: Path | None
    cache: Path


def describe(source: TemplateSource) -> tuple[TemplateSpec, Path]:
    """Specification of the model and its file, which may not exist; raises TemplateModelUnusable for a bad manifest."""
    if source.manifest is None:
        return built_in.spec(), built_in.prepared_file(source.cache)
    try:
        return manifest.read(source.manifest, source.cache)
    except (OSError, ValueError) as error:
        raise TemplateModelUnusable(f"{source.manifest.name}: {error}") from None


def load(source: TemplateSource) -> tuple[TemplateSpec, bytes]:
    """Specification of the model and the bytes of its file, SHA-256 checked; raises TemplateModelUnusable."""
    spec, file = describe(source)
    try:
        return spec, read_model(file, spec.sha256)
    except ModelFileUnusable as error:
        mend = f"; run: {built_in.PREPARE}" if file == built_in.prepared_file(source.cache) else ""
        raise TemplateModelUnusable(f"the face template model {error}{mend}") from None


def open_template(source: TemplateSource) -> TemplateModel:
    """The model, ready to use; takes about 0.1 s, raises ValueError. Loads onnxruntime: for slot processes only."""
    from detectors.template.onnx_model import TemplateModel  # noqa: PLC0415  # see above

    spec, onnx = load(source)
    return TemplateModel(spec, onnx)
