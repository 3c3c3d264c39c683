"""The incomplete gamma function against published values, its inverse, and the fit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.template.impostors import ImpostorModel, TemplateDistance, fit, gamma_p, inverse_gamma_p

#: Chi-square: degrees of freedom, lower tail, the value (NIST/SEMATECH e-Handbook, 1.3.6.7.4).
CHI_SQUARE = [
    (1, 0.95, 3.841),
    (2, 0.99, 9.210),
    (10, 0.05, 3.940),
    (10, 0.95, 18.307),
    (10, 0.999, 29.588),
    (60, 0.01, 37.485),
    (60, 0.001, 31.738),
    (100, 0.05, 77.929),
    (100, 0.99, 135.807),
]


@pytest.mark.parametrize(("dof", "rate", "value"), CHI_SQUARE)
def test_published_chi_square_values(dof, rate, value):
    assert 2 * inverse_gamma_p(dof / 2, rate) == pytest.approx(value, abs=6e-4)
    assert gamma_p(dof / 2, value / 2) == pytest.approx(rate, rel=2e-3)


@pytest.mark.parametrize(("a", "x"), [(4, 1.5), (30, 12.0), (30, 29.0), (30, 31.5), (30, 45.0), (7, 0.1)])
def test_poisson_sums(a, x):
    """P(a, x) is the chance of at least `a` events where `x` are expected."""
    below = math.fsum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(a))
    above = math.fsum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(a, a + 400))
    assert gamma_p(a, x) == pytest.approx(above, rel=1e-10)
    assert gamma_p(a, x) + below == pytest.approx(1.0, abs=1e-12)


@given(a=st.floats(0.3, 300), log_p=st.floats(-34, -1e-3))
def test_the_inverse_is_the_inverse(a, log_p):
    p = math.exp(log_p)
    assert gamma_p(a, inverse_gamma_p(a, p)) == pytest.approx(p, rel=1e-8)


@pytest.mark.parametrize("distance", TemplateDistance)
@pytest.mark.parametrize("rate", [1e-12, 1e-6, 1e-3, 0.5, 0.99])
def test_distance_and_rate_are_inverse(distance, rate):
    model = ImpostorModel(dof=60, scale=0.08, distance=distance)
    assert model.false_match_rate(model.distance_for(rate)) == pytest.approx(rate, rel=1e-8)


def test_cosine_is_half_the_square():
    euclidean, cosine = (ImpostorModel(dof=100, scale=0.1, distance=each) for each in TemplateDistance)
    assert cosine.false_match_rate(0.5) == pytest.approx(euclidean.false_match_rate(1.0))
    assert euclidean.scaled(0.6, 0.42) == pytest.approx(0.252)
    assert cosine.scaled(0.18, 0.42) == pytest.approx(0.42**2 * 0.18), "unit vectors 0.6 apart are 0.18 by the cosine"


@pytest.mark.parametrize("distances", [[], [0.8], [0.8, 0.8, 0.8]])
def test_too_little_to_fit(distances):
    with pytest.raises(ValueError, match="impostor distances"):
        fit(distances)


def test_impossible_models_and_questions():
    for dof, scale in ((0, 1), (1, 0), (math.nan, 1), (math.inf, 1), (1, -1)):
        with pytest.raises(ValueError, match="positive"):
            ImpostorModel(dof=dof, scale=scale)
    model = ImpostorModel(dof=60, scale=0.08)
    for rate in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="rate"):
            model.distance_for(rate)
    for distance in (-0.1, math.nan):
        with pytest.raises(ValueError, match="distance"):
            model.false_match_rate(distance)
