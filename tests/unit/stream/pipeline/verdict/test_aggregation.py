"""Readings to one confidence: every weight counts once, and what is missing counts nothing."""

from __future__ import annotations

import pytest

from config.policy import Policy
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import ReadingStatus, UnknownReading
from stream.pipeline.verdict.aggregation import confidence, weigh
from tests.unit.stream.builders import reading

POLICY = Policy()


def test_every_signal_is_there_once_in_catalogue_order():
    signals = weigh([reading("fft_deepfake"), reading("sharpness")], POLICY)
    assert [(each.reading.name, each.reading.label) for each in signals] == list(SIGNAL_LABELS.items())
    assert sum(signal.weight for signal in signals) == pytest.approx(1.0)


def test_a_missing_signal_abstained():
    signal = weigh([], POLICY)[0]
    assert (signal.reading.status, signal.reading.reason) == (ReadingStatus.ABSTAINED, "not_measured")
    assert (signal.score, signal.passed, signal.shortfall) == (0.0, False, signal.weight)


def test_an_unknown_reading_is_an_error():
    with pytest.raises(UnknownReading, match="not in the catalogue"):
        reading("palm_reading", 1.0)


@pytest.mark.parametrize(("value", "published"), [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (1.0, 1.0), (1 / 3, 0.3333)])
def test_equal_readings_give_their_value(value, published):
    assert confidence(weigh([reading(name, value) for name in SIGNAL_LABELS], POLICY), POLICY) == published


@pytest.mark.parametrize("name", SIGNAL_LABELS)
def test_one_signal_alone_gives_its_weight(name):
    assert confidence(weigh([reading(name, 1.0)], POLICY), POLICY) == getattr(POLICY.weights, name)


@pytest.mark.parametrize(("liveness", "passed"), [(0.4999, False), (0.49996, True), (0.5, True), (0.49994, False)])
def test_passed_agrees_with_the_score_that_is_read(liveness, passed):
    signal = weigh([reading("sharpness", liveness)], POLICY)[0]
    assert (signal.passed, signal.score >= 0.5) == (passed, passed)
