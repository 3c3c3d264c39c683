"""Extraction of a template from a face on its frame: quality gate, chip, network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from config.limits.capture import TemplateGate
from detectors import alignment
from detectors.contract import Template
from detectors.signals.base import FaceObservation
from detectors.template.impostors import TemplateDistance
from detectors.template.quality import reason_against

if TYPE_CHECKING:
    from detectors.template.onnx_model import TemplateModel

#: No model is open, or the policy wants no templates.
SWITCHED_OFF = "template_off"
FAILED = "template_failed"


@dataclass(frozen=True, slots=True)
class Extraction:
    """A template, or the reason in snake_case why there is none: exactly one of the two."""

    template: Template | None
    reason: str


def extract(model: TemplateModel, seen: FaceObservation, notes: Collection[str], gate: TemplateGate) -> Extraction:
    """The template of the face in `seen`. Blocks for one inference; raises nothing a picture can cause.

    Under cosine distance the template is made a unit vector: its length says nothing, and half-precision numbers, in
    which templates are kept, can't hold very small and very large values.
    """
    reason = reason_against(seen.frame, seen.face, seen.pose, notes, gate)
    if reason:
        return Extraction(None, reason)
    try:
        place = alignment.placement(seen.face.landmarks, model.spec.chip)
        vector = model.embed(alignment.cut(seen.frame.bgr, place, model.spec.chip.side))
        if model.spec.distance is TemplateDistance.COSINE:
            vector = vector / np.linalg.norm(vector)
    except Exception:  # whatever breaks on this face costs its template only, as with a signal
        return Extraction(None, FAILED)
    made = Template(
        model=model.spec.name, model_sha256=model.spec.space_sha256, vector=vector.astype("<f4", copy=False).tobytes()
    )
    return Extraction(made, "")
