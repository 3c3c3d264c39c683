"""Comparison of two faces on the scale of strangers: by the model's calibration, within one model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.contract import Template
from detectors.template.impostors import ImpostorModel, TemplateDistance
from detectors.template.port import strangers_as_alike

EUCLIDEAN = ImpostorModel(dof=60.0, scale=0.08)
COSINE = replace(EUCLIDEAN, distance=TemplateDistance.COSINE)


def template(*numbers, **changes):
    vector = np.array(numbers, "<f4").tobytes()
    return Template(**{"model": "net", "model_sha256": "ab" * 32, "vector": vector, **changes})


@pytest.mark.parametrize("rate", [1e-6, 1e-4, 0.5])
def test_share_at_a_distance(rate):
    apart = EUCLIDEAN.distance_for(rate)
    assert strangers_as_alike(template(0, 0), template(0, apart), EUCLIDEAN) == pytest.approx(rate, rel=1e-3)


def test_the_same_face():
    assert strangers_as_alike(template(1, 2), template(1, 2), EUCLIDEAN) == 0.0
    assert strangers_as_alike(template(1, 2), template(2, 4), COSINE) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    "other", [template(1, 2, model="net2"), template(1, 2, model_sha256="cd" * 32), template(1, 2, 3)]
)
def test_two_models(other):
    with pytest.raises(ValueError, match="two models"):
        strangers_as_alike(template(1, 2), other, EUCLIDEAN)
