"""Comparison of two faces by their templates, on the scale of how alike strangers look."""

from __future__ import annotations

import numpy as np

from detectors.contract import Template
from detectors.template.impostors import ImpostorModel
from detectors.template.port import distance_between


def strangers_as_alike(first: Template, second: Template, impostors: ImpostorModel) -> float:
    """Share of pairs of strangers, from 0 to 1, that look at least as much alike as these two faces: the false match
    rate of a threshold at their distance. Raises ValueError for templates of two models, which don't compare."""
    if (first.model, first.model_sha256, len(first.vector)) != (second.model, second.model_sha256, len(second.vector)):
        raise ValueError("templates of two models")
    one, other = (np.frombuffer(each.vector, "<f4") for each in (first, second))
    return impostors.false_match_rate(distance_between(one, other, impostors.distance))
