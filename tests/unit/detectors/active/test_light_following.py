"""The light challenge on made light: what must not matter, what must, and the chance of passing unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from config.limits.active import ActivePolicy
from detectors.active.assessed import AssessedFrame
from detectors.active.light_fit import centred, compared
from detectors.active.light_following import _RGB, LightFollowing, light_following
from detectors.contract_measures import RegionLight
from tests.unit.detectors.active.heads import lit_frames

SIX = ("red", "green", "blue", "white", "cyan", "yellow")
EXTREMES = ("red", "green", "white", "black", "cyan", "yellow")
FOUR = ("magenta", "green", "black", "blue")
SETTINGS = ActivePolicy()


def follow(frames: list[AssessedFrame], colours: tuple[str, ...] = SIX, colour_ms: int = 300) -> LightFollowing:
    return light_following(frames, colours, colour_ms, SETTINGS)


def developed(frames: list[AssessedFrame]) -> list[AssessedFrame]:
    """The same scene with another exposure in each frame, and another white balance in all."""
    gains = np.linspace(0.6, 1.4, len(frames)).tolist()
    return [with_light(each, brighter(each, gain)) for each, gain in zip(frames, gains, strict=True)]


def brighter(each: AssessedFrame, gain: float) -> list[RegionLight]:
    return [
        replace(region, red=region.red * gain * 1.2, green=region.green * gain, blue=region.blue * gain * 0.7)
        for region in each.measures.light
    ]


def scaled(region: RegionLight, by: float) -> RegionLight:
    return replace(region, red=region.red * by, green=region.green * by, blue=region.blue * by)


def with_light(each: AssessedFrame, regions: Sequence[RegionLight | None]) -> AssessedFrame:
    return replace(each, measures=replace(each.measures, light=tuple(regions)))


@pytest.mark.parametrize("colours", [SIX, FOUR])
@pytest.mark.parametrize("seen", [list, developed])
def test_a_face_follows_whatever_the_camera_does(colours, seen):
    found = follow(seen(lit_frames(colours)), colours)
    assert found.reasons == frozenset()
    assert found.correlation > 0.95
    wanted = np.array([_RGB[colour] for colour in colours], float)
    assert compared(centred(wanted), wanted).chance == pytest.approx({SIX: 1 / 720, FOUR: 1 / 24}[colours])
    assert found.flat < 0.5
    assert abs(found.behind) < 0.1


@pytest.mark.parametrize("colours", [("red", "white", "red", "black"), ("white", "blue", "black", "yellow")])
def test_fewest_colours_that_are_no_greys(colours):
    """Fewer can't be told one by one: no session asks for them."""
    assert follow(lit_frames(colours), colours).reasons == frozenset()
    greys = ("white", "black", "white", colours[1] if colours[1] != "white" else "red")
    assert follow(lit_frames(greys), greys).reasons == {"light_not_followed"}


@pytest.mark.parametrize("swapped", [(0, 1), (2, 3), (1, 4)])
def test_two_colours_in_each_others_place(swapped):
    frames = lit_frames(SIX)
    first, second = swapped
    light = {first: frames[second].measures, second: frames[first].measures}
    mixed = [replace(each, measures=light.get(place, each.measures)) for place, each in enumerate(frames)]
    assert follow(mixed).reasons


@pytest.mark.parametrize("developed_or_not", [list, developed])
@pytest.mark.parametrize(
    ("colours", "shown"),
    [
        (SIX, ("red", "green", "green", "white", "cyan", "yellow")),  # a copy of the frame before
        (SIX, ("red", "green", "blue", "black", "cyan", "yellow")),  # a frame at rest in the place of white
        (EXTREMES, ("red", "green", "black", "white", "cyan", "yellow")),  # which have one chromaticity
        (EXTREMES, ("red", "green", "white", "black", "cyan", "red")),
    ],
)
def test_one_frame_in_another_light(colours, shown, developed_or_not):
    """A correlation of 0.75 and more over all six, and the best order but two: each colour must be seen by itself."""
    assert follow(developed_or_not(lit_frames(shown)), colours).reasons == {"light_not_followed"}
    assert follow(developed_or_not(lit_frames(colours)), colours).reasons == frozenset()


def test_a_dim_screen_or_a_trembling_head_is_no_frame_in_another_light():
    """Brightness against the background moves by 8 % where a head sways."""
    swaying = np.exp([0.0, 0.08, -0.08, 0.05, -0.08, 0.08])
    frames = lit_frames(EXTREMES, front=0.12, side=0.05)
    dimmed = [
        with_light(each, [*(scaled(region, by) for region in each.measures.light[:-1]), each.measures.light[-1]])
        for each, by in zip(frames, swaying.tolist(), strict=True)
    ]
    assert follow(dimmed, EXTREMES).reasons == frozenset()


def test_a_dark_background_says_little():
    """A background at the camera's noise: the face's own colour follows."""
    rng = np.random.default_rng(3)
    dark = [
        with_light(each, [*each.measures.light[:-1], RegionLight(red=r, green=g, blue=b, clipped=0.0)])
        for each, (r, g, b) in zip(lit_frames(SIX), rng.uniform(0.0015, 0.003, (6, 3)).tolist(), strict=True)
    ]
    found = follow(dark)
    assert found.correlation > 0.95
    assert "light_not_followed" not in found.reasons


@pytest.mark.parametrize("black", [0.0008, 0.0012])
def test_exposure_in_a_dark_room(black):
    """Each frame at an exposure of its own, in a room that is nearly black: the background tells how bright it was."""
    gains = [1.4, 0.7, 1.2, 0.8, 1.3, 0.9]
    room = RegionLight(red=black, green=black, blue=black, clipped=0.0)
    frames = [
        with_light(each, [scaled(region, gain * 0.05) for region in each.measures.light[:-1]] + [scaled(room, gain)])
        for each, gain in zip(lit_frames(EXTREMES, front=0.12, side=0.05), gains, strict=True)
    ]
    assert follow(frames, EXTREMES).reasons == frozenset()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"front": 0.0, "side": 0.0, "behind": 0.0}, "light_not_followed"),
        ({"front": 0.004, "side": 0.001, "behind": 0.0}, "light_not_followed"),  # less than can be measured
        ({"front": 0.02, "side": 0.008, "behind": 0.0}, "light_not_followed"),  # from the glass of another screen
        ({"late": 0.45}, "light_too_late"),
        ({"late": 0.2}, None),
        ({"side": 0.21}, "light_pattern_flat"),
        ({"front": 0.3, "behind": 0.15}, "light_pattern_flat"),
    ],
)
def test_light_that_no_face_before_a_screen_has(options, reason):
    assert follow(lit_frames(SIX, **options)).reasons == ({reason} if reason else frozenset())


def any_light(rng: np.random.Generator) -> list[RegionLight]:
    rows = rng.uniform(0.15, 0.25, (8, 3)).tolist()
    return [RegionLight(red=red, green=green, blue=blue, clipped=0.0) for red, green, blue in rows]


def test_noise_does_not_pass():
    """Of 200 sequences without any answer none is taken for one; by chance alone at most one in 720 orders fits."""
    rng, passed, lit = np.random.default_rng(3), 0, lit_frames(SIX)
    for _ in range(200):
        frames = [with_light(each, any_light(rng)) for each in lit]
        passed += not follow(frames).reasons
    assert passed == 0


@pytest.mark.parametrize(
    "broken",
    [
        lambda frames: frames[:-1],
        lambda frames: frames[::-1],
        lambda frames: [replace(each, colour=None) for each in frames],
        lambda frames: [replace(frames[0], measures=None), *frames[1:]],
        lambda frames: [with_light(each, (*each.measures.light[:-1], None)) for each in frames],
        lambda frames: [],
    ],
    ids=["colour missing", "backwards", "no colour told", "not measured", "no background", "none"],
)
def test_what_is_missing_is_no_answer(broken):
    found = follow(broken(lit_frames(SIX)))
    assert (found.reasons, found.correlation) == ({"too_few_measures"}, 0.0)


def test_frames_taken_when_their_colour_was_over():
    frames = lit_frames(SIX)  # one each 300 ms
    assert follow(frames, colour_ms=250).reasons == frozenset()
    assert follow(frames, colour_ms=100).reasons == {"light_too_late"}
    late = [replace(each, at_ms=each.at_ms + 1000 * (each.colour > 2)) for each in frames]
    assert follow(late).reasons == {"light_too_late"}
