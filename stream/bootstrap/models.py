"""Settings become model files: of the face mesh, the presentation-attack networks and the face template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from abuse.faces.protected_template import Distance
from config.cache import cache_folder
from config.errors import SettingsError
from config.policy import Policy
from config.settings import Settings
from detectors import models
from detectors.contract import ModelVersion
from detectors.models import ModelFile
from detectors.pad import FETCH, PadNetworkUnusable, PadSource, sources
from detectors.pad import load as load_network
from detectors.template import TemplateModelUnusable, TemplateSource, TemplateSpec, describe, load
from stream.pipeline.capture.marking import model_id

S = TypeVar("S")


def template_source(settings: Settings, policy: Policy) -> TemplateSource | None:
    """Source of face templates; None where the policy switches templates off."""
    if not policy.template.active:
        return None
    return TemplateSource(manifest=settings.detection.template_manifest, cache=cache_folder())


def template_spec(settings: Settings, policy: Policy) -> TemplateSpec | None:
    """The template model as its manifest describes it; None where the policy switches templates off. Raises
    SettingsError for a bad manifest."""
    source = template_source(settings, policy)
    return None if source is None else _described(source)[0]


def template_kinds(settings: Settings, policy: Policy) -> Mapping[str, Distance]:
    """How templates of the model in use are compared; empty without a model."""
    spec = template_spec(settings, policy)
    return {} if spec is None else {model_id(spec.name, spec.space_sha256): Distance(spec.distance)}


def network_sources(settings: Settings, policy: Policy) -> tuple[PadSource, ...]:
    """Sources of the presentation-attack networks that take part; none where the policy gives networks no share.
    Raises SettingsError, also where the policy wants networks and none takes part."""
    if not policy.pad_networks.weight:
        return ()
    detection = settings.detection
    try:
        found = sources(detection.pad_networks, detection.pad_manifests, cache_folder())
    except PadNetworkUnusable as error:
        raise SettingsError(f"detection.pad_networks: {error}") from None
    if not found:
        raise SettingsError(f"the policy {policy.name} wants presentation-attack networks: run {FETCH}")
    return found


def slot_files(settings: Settings, policy: Policy) -> tuple[str, ...]:
    """Files and folders of models that slots read. Raises SettingsError as `network_sources`, or for a bad manifest."""
    detection, template = settings.detection, template_source(settings, policy)
    named = (detection.face_landmarker_bundle, detection.template_manifest, *detection.pad_manifests)
    networks = (source.file for source in network_sources(settings, policy))
    files = (*named, *networks, *(() if template is None else (_described(template)[1],)))
    return tuple(str(path) for path in (cache_folder(), *files) if path is not None)


def model_files(settings: Settings, policy: Policy) -> tuple[ModelFile, ...]:
    """Every model file in use, read and hashed; a template model that can't be loaded has `trouble`.

    Raises SettingsError for a configured file or manifest that can't be used.
    """
    source = template_source(settings, policy)
    networks = (_network_file(each) for each in network_sources(settings, policy))
    return (
        *_mesh_files(settings),
        models.counter_file(),
        *networks,
        *(() if source is None else (_template_file(source),)),
    )


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


def _network_file(source: PadSource) -> ModelFile:
    trouble = _trouble(load_network, source)
    return ModelFile(model=source.model, path=source.file, licence=source.network.licence, trouble=trouble)


def _trouble(loading: Callable[[S], object], source: S) -> str:
    """Reason why a model can't be loaded; empty for one that can."""
    try:
        loading(source)
    except (PadNetworkUnusable, TemplateModelUnusable) as error:
        return str(error)
    return ""


def _described(source: TemplateSource) -> tuple[TemplateSpec, Path]:
    try:
        return describe(source)
    except TemplateModelUnusable as error:
        raise SettingsError(f"detection.template_manifest: {error}") from None


def _template_file(source: TemplateSource) -> ModelFile:
    spec, path = _described(source)
    return ModelFile(model=spec.model, path=path, licence=spec.licence, trouble=_trouble(load, source))
