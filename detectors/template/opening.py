"""From a setting to a model: what is known of it (no weights, no onnxruntime), and the model itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from detectors.template import built_in, manifest
from detectors.template.port import TemplateModel, TemplateSpec

MAX_MODEL_BYTES = 1024 * 1024 * 1024


class TemplateModelUnusable(ValueError):
    """The model file is missing or is not what it should be; the words say which and what mends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSource:
    """Where the model comes from: a manifest, or (None) the built-in one out of the cache folder."""

    manifest: Path | None
    cache: Path


def describe(source: TemplateSource) -> tuple[TemplateSpec, Path]:
    """The model and its file, which may not exist; raises TemplateModelUnusable for a manifest that can't be used."""
    if source.manifest is None:
        return built_in.spec(), built_in.prepared_file(source.cache)
    try:
        return manifest.read(source.manifest, source.cache)
    except (OSError, ValueError) as error:
        raise TemplateModelUnusable(f"{source.manifest.name}: {error}") from None


def load(source: TemplateSource) -> tuple[TemplateSpec, bytes]:
    """The model and the bytes of its file, whose hash is right; raises TemplateModelUnusable."""
    spec, file = describe(source)
    mend = f"; run: {built_in.PREPARE}" if file == built_in.prepared_file(source.cache) else ""
    try:
        if file.stat().st_size > MAX_MODEL_BYTES:
            raise TemplateModelUnusable(f"the face template model {file} is too large")
        onnx = file.read_bytes()
    except OSError as error:
        words = "is not there" if isinstance(error, FileNotFoundError) else f"can't be read ({type(error).__name__})"
        raise TemplateModelUnusable(f"the face template model {file} {words}{mend}") from None
    if hashlib.sha256(onnx).hexdigest() != spec.sha256:
        raise TemplateModelUnusable(f"the face template model {file} has another SHA-256 than expected{mend}")
    return spec, onnx


def open_template(source: TemplateSource) -> TemplateModel:
    """The model, ready to use; about 0.1 s. Raises ValueError. Loads onnxruntime: for slot processes."""
    from detectors.template.onnx_model import OnnxTemplateModel  # noqa: PLC0415  # see above

    spec, onnx = load(source)
    return OnnxTemplateModel(spec, onnx)
