"""Measures of one frame for active liveness, as a slot process sends them back: bounded numbers, no pixels.

A measure is what the frame shows; what a row of frames shows is for `detectors.active.assessment`. Measures are
biometric like a template, and go no farther than a template goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from config.strict_json import BrokenRule, StrictJson
from detectors.contract_fields import AS_BASE64, Share, unpacked

#: Landmarks of a frame's outline of the head, by their numbers in the mesh: the 33 of the pose fit, the chin, forehead
#: and lips' middle, and the face's outline at the height of ears and jaw.
SHAPE_LANDMARKS = (
    *(4, 6, 10, 33, 54, 67, 117, 119, 121, 127, 129, 132, 133, 136, 143, 147, 198, 205),
    *(263, 284, 297, 346, 348, 350, 356, 358, 361, 362, 365, 372, 376, 420, 425),
    *(1, 2, 5, 152, 168, 195, 234, 454),
)
#: Most features of the scene. A feature is 20 bytes: its x and y in `PLACES` parts of the frame's longer side, and 128
#: comparisons of grey levels around there.
MOST_FEATURES, PLACES = 128, 65535
FEATURE = np.dtype([("x", "<u2"), ("y", "<u2"), ("description", "u1", 16)])
#: Places with a profile each, on the face and around, in an order of their own (`detectors.active.profiles`). A profile
#: is 84 bytes: x and y of its middle in `PLACES` parts of the longer side, and the course of grey across and down a
#: square of `PROFILE_SIDE` samples, -127 to 127 at its own scale; all 0 where the frame has none or nothing to see.
#: The first of the places are on the face, whose width from ear to ear is that many samples.
PROFILE_PLACES, PROFILE_SIDE = 35, 40
PLACES_ON_FACE, FACE_SAMPLES = 20, 220
PROFILE = np.dtype([("x", "<u2"), ("y", "<u2"), ("across", "i1", PROFILE_SIDE), ("down", "i1", PROFILE_SIDE)])
#: Regions of the face in the order of `FrameMeasures.light`; the last is beside the head.
LIGHT_REGIONS = (*("forehead", "nose", "cheek_right", "cheek_left", "side_right", "side_left", "chin", "background"),)
#: Regions of the face's front.
FRONT = ("nose", "cheek_right", "cheek_left")

Angle = Annotated[float, Field(ge=-180, le=180)]
Ratio = Annotated[float, Field(ge=-10, le=10)]
#: Place in units of the frame's longer side; a landmark may lie outside the frame.
Place = Annotated[float, Field(ge=-2, le=3)]


#: Features, or profiles, one behind the other.
PackedFeatures = Annotated[
    bytes, BeforeValidator(lambda text: unpacked(text, FEATURE.itemsize, MOST_FEATURES)), AS_BASE64
]
PackedProfiles = Annotated[
    bytes, BeforeValidator(lambda text: unpacked(text, PROFILE.itemsize, PROFILE_PLACES)), AS_BASE64
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLight(StrictJson):
    """Light of one region: mean linear RGB, 0 to 1 (sRGB undone, IEC 61966-2-1), and the share of its pixels that are
    clipped, so that more light would not show."""

    red: Share
    green: Share
    blue: Share
    clipped: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMeasures(StrictJson):
    """Measures of one frame, of the face that framing chose.

    `yaw`, `pitch`, `roll`: degrees, signs as `detectors.face_mesh.pose` says. `eye_right`, `eye_left`: eye aspect ratio
    of the person's own right and left eye with the head's rotation undone. `mouth_width`, `corner_lift`: width of the
    mouth, and height of its corners above its middle, both in distances of the eyes' centres, rotation undone.
    `shape`: x and y of `SHAPE_LANDMARKS`, one behind the other, in units of the frame's longer side. `scene`: features
    beside the face (`FEATURE`), the strongest first; `profiles`: of the face and what is around (`PROFILE`), one a
    place, or none at all. `light`: one a region of `LIGHT_REGIONS`, None for a region that is not in the frame.
    `brightness`: mean grey level of the face, 0 to 255; `clipped`: share of the face's pixels at 247 and more.
    `sharpness`: variance of the face's Laplacian, by which the best frame is chosen.
    """

    yaw: Angle
    pitch: Angle
    roll: Angle
    eye_right: Ratio
    eye_left: Ratio
    mouth_width: Ratio
    corner_lift: Ratio
    shape: Annotated[tuple[Place, ...], Field(max_length=2 * len(SHAPE_LANDMARKS))] = field(repr=False)
    scene: PackedFeatures = field(repr=False)
    profiles: PackedProfiles = field(repr=False)
    light: Annotated[tuple[RegionLight | None, ...], Field(max_length=len(LIGHT_REGIONS))] = field(repr=False)
    brightness: Annotated[float, Field(ge=0, le=255)]
    clipped: Share
    sharpness: Annotated[float, Field(ge=0, le=1e6)]

    def __post_init__(self) -> None:
        if len(self.shape) != 2 * len(SHAPE_LANDMARKS) or len(self.light) != len(LIGHT_REGIONS):
            raise BrokenRule("measures without all landmarks or regions")
        if len(self.profiles) not in (0, PROFILE_PLACES * PROFILE.itemsize):
            raise BrokenRule("measures without all profiles")

    def regions(self, names: Iterable[str]) -> list[RegionLight]:
        """Light of those regions that are in the frame."""
        found = (self.light[LIGHT_REGIONS.index(name)] for name in names)
        return [each for each in found if each is not None]

    def light_of(self, names: Iterable[str]) -> NDArray[np.float64] | None:
        """Mean linear RGB (3,) over the regions that are in the frame; None without any."""
        seen = [(each.red, each.green, each.blue) for each in self.regions(names)]
        return np.asarray(np.mean(seen, axis=0), np.float64) if seen else None
