"""Advice about a picture's file: by its cause, from the bytes to the words for the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.analysis import FaceAnalyser
from stream.demo import attacks
from stream.demo.bad_inputs import giant_png, not_an_image, truncated
from stream.demo.scenario import astronaut
from stream.pipeline.verdict.verdict import Verdict, VerdictKind, judge
from tests.unit.detectors.conftest import saved

PORTRAIT = attacks.portrait(attacks.decode(astronaut()))


@pytest.fixture(scope="module")
def verdict_on() -> Iterator[Callable[[bytes], Verdict]]:
    policy = Policy()
    analyser = FaceAnalyser(policy)
    yield lambda image: judge(analyser.analyse(image), policy)
    analyser.close()


def as_pillow(photo: attacks.Photo = PORTRAIT) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(photo[:, :, ::-1]))


def stored_beneath_white() -> bytes:
    """A PNG that stores the portrait and shows white."""
    picture = as_pillow()
    picture.putalpha(0)
    return saved(picture, "PNG")


def phone_photo(width: int, height: int) -> bytes:
    """The portrait in the size of a large camera, drawn quickly."""
    return saved(as_pillow().resize((width, height), Image.Resampling.NEAREST), "JPEG", quality=50)


WHOLE = attacks.jpeg(PORTRAIT, quality=92)
REFUSED = {
    "piece": (lambda: truncated(WHOLE), ErrorCode.INVALID_REQUEST, "whole_file"),
    "closed piece": (lambda: truncated(WHOLE) + b"\xff\xd9", ErrorCode.INVALID_REQUEST, "whole_file"),
    "broken": (
        lambda: WHOLE.replace(b"\xff\xc0\x00\x11", b"\xff\xc0\x00\x05"),
        ErrorCode.INVALID_REQUEST,
        "other_copy",
    ),
    "60x60": (lambda: saved(as_pillow().resize((60, 60)), "JPEG"), ErrorCode.INVALID_REQUEST, "larger_photo"),
    "transparent": (lambda: stored_beneath_white(), ErrorCode.INVALID_REQUEST, "opaque_photo"),
    "no picture": (lambda: not_an_image(), ErrorCode.UNSUPPORTED_FORMAT, "other_file"),
    "giant": (lambda: giant_png(), ErrorCode.IMAGE_TOO_LARGE, "scale_down"),
    "64 megapixels": (lambda: phone_photo(9248, 6936), ErrorCode.IMAGE_TOO_LARGE, "scale_down"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_advice_is_about_the_cause(verdict_on, name):
    image, error, advice = REFUSED[name]
    verdict = verdict_on(image())
    assert (verdict.kind, verdict.error) == (VerdictKind.INCONCLUSIVE, error)
    assert [each.code for each in verdict.advice] == [advice]
    assert verdict.reasons[0] == error.lower()
    assert verdict.message


def test_too_large_is_told_in_pixels(verdict_on):
    (advice,) = verdict_on(giant_png()).advice
    assert "2000 pixels" in advice.message
    assert "MB" not in advice.message


@pytest.mark.parametrize(("width", "height"), [(8160, 6144), (6144, 8192)])
def test_phones_of_50_megapixels_are_analysed(verdict_on, width, height):
    verdict = verdict_on(phone_photo(width, height))
    assert (verdict.error, verdict.face_detected) == (None, True)
