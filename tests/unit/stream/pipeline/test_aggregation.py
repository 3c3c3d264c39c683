"""Readings to one confidence: every weight counts once, and what is missing counts nothing."""

from __future__ import annotations

import pytest

from config.policy import Policy
from detectors.analysis_codec import MalformedAnalysis, decode, encode
from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import ReadingStatus, UnknownReading
from stream.pipeline.aggregation import confidence, weigh
from tests.unit.stream.builders import analysis, reading

WEIGHTS = Policy().weights


def test_every_signal_is_there_once_in_catalogue_order():
    signals = weigh([reading("fft_deepfake"), reading("sharpness")], WEIGHTS)
    assert [signal.reading.name for signal in signals] == list(SIGNAL_LABELS)
    assert [signal.reading.label for signal in signals] == list(SIGNAL_LABELS.values())
    assert sum(signal.weight for signal in signals) == pytest.approx(1.0)


def test_a_missing_signal_abstained():
    signal = weigh([], WEIGHTS)[0]
    assert signal.reading.status is ReadingStatus.ABSTAINED
    assert signal.reading.reason == "not_measured"
    assert (signal.score, signal.passed) == (0.0, False)
    assert signal.shortfall == signal.weight


def test_an_unknown_reading_is_an_error():
    with pytest.raises(UnknownReading, match="not in the catalogue"):
        reading("palm_reading", 1.0)
    encoded = encode(analysis({"sharpness": 1.0})).replace(b'"name":"sharpness"', b'"name":"palm_reading"')
    with pytest.raises(MalformedAnalysis, match="not in the catalogue"):
        decode(encoded)


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 1.0])
def test_equal_readings_give_their_value(value):
    assert confidence(weigh([reading(name, value) for name in SIGNAL_LABELS], WEIGHTS)) == value


@pytest.mark.parametrize("name", SIGNAL_LABELS)
def test_one_signal_alone_gives_its_weight(name):
    assert confidence(weigh([reading(name, 1.0)], WEIGHTS)) == getattr(WEIGHTS, name)


@pytest.mark.parametrize(("liveness", "passed"), [(0.4999, False), (0.49996, True), (0.5, True), (0.49994, False)])
def test_passed_agrees_with_the_score_that_is_read(liveness, passed):
    signal = weigh([reading("sharpness", liveness)], WEIGHTS)[0]
    assert signal.passed is passed
    assert signal.passed is (signal.score >= 0.5)


def test_confidence_has_the_digits_that_are_published():
    value = confidence(weigh([reading(name, 1 / 3) for name in SIGNAL_LABELS], WEIGHTS))
    assert value == 0.3333
