"""Faces of a submission's frames: how far each is from the first, so that nobody takes another's place half-way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from abuse.faces.protected_template import Distance, ProtectedTemplate, distances
from detectors.contract import Analysis
from stream.pipeline.capture.marking import model_id

#: In place of a key's id, for templates that are compared at once and kept nowhere.
_UNKEYED = "plain"
#: How the templates of each model are compared, by the model's id; euclidean unless named.
Kinds = Mapping[str, Distance]


def between(templates: Sequence[ProtectedTemplate | None], kinds: Kinds) -> tuple[float | None, ...]:
    """Distance of each template to the first there is; None for one that is missing or not comparable with it.
    Protection keeps distances, within one tenant and key."""
    probe = next((each for each in templates if each is not None), None)
    return tuple(None if probe is None or each is None else _distance(probe, each, kinds) for each in templates)


def of_analyses(analyses: Sequence[Analysis], kinds: Kinds) -> tuple[float | None, ...]:
    """Distances between the plain templates of frames that were sent in one event; empty for one frame."""
    return between([_template(each) for each in analyses], kinds) if len(analyses) > 1 else ()


def _template(analysis: Analysis) -> ProtectedTemplate | None:
    if (seen := analysis.template) is not None:
        with suppress(ValueError):  # of a template that can't be compared, for example all zeros
            return ProtectedTemplate(model_id(seen.model, seen.model_sha256), _UNKEYED, seen.vector)
    return None


def _distance(probe: ProtectedTemplate, other: ProtectedTemplate, kinds: Kinds) -> float | None:
    if (probe.model, probe.key_id, probe.dimensions) != (other.model, other.key_id, other.dimensions):
        return None
    return distances(probe, [other], kinds.get(probe.model, Distance.EUCLIDEAN))[0]
