"""Settings become model files: the face mesh's and the face template's."""

from __future__ import annotations

from config.cache import cache_folder
from config.errors import SettingsError
from config.policy import Policy
from config.settings import Settings
from detectors import models
from detectors.contract import ModelVersion
from detectors.models import ModelFile
from detectors.template import TemplateModelUnusable, TemplateSource, describe, load


def template_source(settings: Settings, policy: Policy) -> TemplateSource | None:
    """Source of face templates; None where the policy switches templates off."""
    if not policy.template.active:
        return None
    return TemplateSource(manifest=settings.detection.template_manifest, cache=cache_folder())


def model_files(settings: Settings, policy: Policy) -> tuple[ModelFile, ...]:
    """Every model file in use, read and hashed; a template model that can't be loaded has `trouble`.

    Raises SettingsError for a configured file or manifest that can't be used.
    """
    source = template_source(settings, policy)
    return (*_mesh_files(settings), *(() if source is None else (_template_file(source),)))


def model_versions(settings: Settings, policy: Policy) -> tuple[ModelVersion, ...]:
    """Model versions in use; raises SettingsError for a file that is missing or isn't as pinned."""
    files = model_files(settings, policy)
    for file in files:
        if file.trouble:
            raise SettingsError(file.trouble)
    return tuple(file.model for file in files)


def _mesh_files(settings: Settings) -> tuple[ModelFile, ...]:
    bundle = settings.detection.face_landmarker_bundle
    if bundle is None:
        return models.solutions_files()
    try:
        found = models.face_landmarker_model(bundle.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"detection.face_landmarker_bundle: {error}") from None
    return (ModelFile(model=found, path=bundle, licence=models.MEDIAPIPE_LICENCE),)


def _template_file(source: TemplateSource) -> ModelFile:
    try:
        spec, path = describe(source)
    except TemplateModelUnusable as error:
        raise SettingsError(f"detection.template_manifest: {error}") from None
    try:
        load(source)
        trouble = ""
    except TemplateModelUnusable as error:
        trouble = str(error)
    return ModelFile(model=spec.model, path=path, licence=spec.licence, trouble=trouble)
