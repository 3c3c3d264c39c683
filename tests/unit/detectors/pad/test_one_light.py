"""Networks see the frames of one capture in the light of its first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.contract import Analysis
from detectors.contract_measures import LIGHT_REGIONS, FrameMeasures
from detectors.frame import WorkingFrame
from detectors.pad.one_light import in_light_of
from detectors.pool.slot_process import answers_to
from stream.demo import attacks
from tests.unit.detectors.active.heads import light, measures
from tests.unit.detectors.conftest import observe

REST, SKIN = (0.30, 0.20, 0.15), (100, 115, 140)
NOWHERE = measures(light=(None,) * len(LIGHT_REGIONS))


def shown(bgr: np.ndarray, now: FrameMeasures, rest: FrameMeasures) -> list[int]:
    """Blue, green and red of a picture of one colour, as networks see it."""
    frame = WorkingFrame(bgr=np.full((4, 4, 3), bgr, np.uint8), grey=np.zeros((4, 4), np.uint8))
    return [int(each) for each in in_light_of(replace(observe(), frame=frame), now, rest).frame.bgr[1, 2]]


def of_front(red: float, green: float, blue: float) -> FrameMeasures:
    return measures(light=light((red, green, blue)))


@pytest.mark.parametrize("gains", [(1.3, 1, 1), (1, 1.3, 1), (1, 1.3, 1.3), (1, 1, 1)])
def test_the_colour_of_a_screen_is_undone(gains):
    """Chromaticity becomes what it was, brightness stays."""
    tinted = [round(tone * gain ** (1 / 2.2)) for tone, gain in zip(SKIN, gains[::-1], strict=True)]
    found = shown(tinted, of_front(*np.multiply(REST, gains).tolist()), of_front(*REST))
    assert np.divide(found, sum(found)) == pytest.approx(np.divide(SKIN, sum(SKIN)), abs=0.005)
    assert np.log(found).mean() == pytest.approx(np.log(tinted).mean(), abs=0.01)


@pytest.mark.parametrize("now", [of_front(1.0, 0.0, 0.0), of_front(0.0, 1.0, 1.0)])
def test_no_frame_becomes_another_picture(now):
    """A first frame of any colour changes a channel by a quarter at most."""
    change = np.divide(shown(SKIN, now, of_front(0.0, 0.0, 1.0)), SKIN)
    assert change.min() >= 0.79
    assert change.max() <= 1.26


@pytest.mark.parametrize(("now", "rest"), [(NOWHERE, of_front(*REST)), (of_front(*REST), NOWHERE)])
def test_a_face_that_is_not_seen_changes_nothing(now, rest):
    assert shown(SKIN, now, rest) == list(SKIN)


def test_networks_alone_see_it(source, portrait):
    """A face under red light, analysed with and without a frame at rest before it."""
    red = np.clip(portrait * np.array([1, 1, 1.12]), 0, 255).astype(np.uint8)
    plain, lit = (memoryview(attacks.camera_photo(each)) for each in (portrait, red))
    analyser = FaceAnalyser(Policy(), networks=(source(),))
    rest, after, bare = (
        analyser.analyse(plain, measured=True),
        answers_to(analyser, [plain, lit], measured=True)[1].analysis,
        analyser.analyse(lit, measured=True),
    )
    unmeasured = answers_to(analyser, [plain, lit], measured=False)[1].analysis
    analyser.close()
    assert abs(network(after) - network(rest)) < abs(network(bare) - network(rest)) / 2
    assert after.readings[:-1] == bare.readings[:-1]
    assert (after.measures, after.picture) == (bare.measures, bare.picture)
    assert network(unmeasured) == network(bare)


def network(analysis: Analysis) -> float:
    return analysis.readings[-1].liveness


def test_a_job_that_fails_at_first_has_no_rest(source, selfie):
    analyser = FaceAnalyser(Policy(), networks=(source(),))
    first, second = (
        each.analysis for each in answers_to(analyser, [memoryview(b""), memoryview(selfie)], measured=True)
    )
    alone = analyser.analyse(selfie, measured=True)
    analyser.close()
    assert first.error is not None
    assert second.readings == alone.readings
