"""One face on its frame to a template, or the reason why not: gate, chip, network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from config.policy import TemplateGate
from detectors.contract import Template
from detectors.signals.base import Observation
from detectors.template import chip
from detectors.template.impostors import Distance
from detectors.template.port import TemplateModel
from detectors.template.quality import reason_against

#: No model is open, or the policy wants no templates.
SWITCHED_OFF = "template_off"
FAILED = "template_failed"


@dataclass(frozen=True, slots=True)
class Extraction:
    """Exactly one of the two is there."""

    template: Template | None
    reason: str


def extract(model: TemplateModel, seen: Observation, notes: Collection[str], gate: TemplateGate) -> Extraction:
    """The template of the face in `seen`. Blocks for one inference; raises nothing a picture can cause.

    Where directions are compared it is a unit vector: its length says nothing, and two bytes a number, as templates are
    kept, hold numbers of any size but very small and large ones.
    """
    reason = reason_against(seen.frame, seen.face, seen.pose, notes, gate)
    if reason:
        return Extraction(None, reason)
    try:
        place = chip.placement(seen.face.landmarks, model.spec.chip)
        vector = model.embed(chip.cut(seen.frame.bgr, place, model.spec.chip.side))
        if model.spec.distance is Distance.COSINE:
            vector = vector / np.linalg.norm(vector)
    except Exception:  # whatever breaks on this face costs its template only, as with a signal
        return Extraction(None, FAILED)
    made = Template(
        model=model.spec.name, model_sha256=model.spec.space_sha256, vector=vector.astype("<f4", copy=False).tobytes()
    )
    return Extraction(made, "")
