"""Framing of the face: who is in the picture, and what the person should change.

The one-face rule refuses a picture; a missed image requirement is a note, a reason code that moves no score.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.error_codes import ErrorCode
from config.policy import Framing
from detectors.contract import ImageRefused
from detectors.face_mesh import Face, Pose
from detectors.frame import WorkingFrame

#: Mean grey level (8 bit) of the face below or above which a picture is too dark or too bright.
#: The test photographs lie between 105 and 159 (`tests/bench/signal_ranges.py` reads the same folder).
DARK_GREY, BRIGHT_GREY = 50.0, 215.0
#: Brightness of the darker half of the face over that of the brighter one below which it is half in shadow. 60 bona
#: fide pictures lie between 0.40 and 1; with one half darkened to a third, eight of ten lie below 0.38.
EVEN_SHARE = 0.38
#: Share of the face box that may lie outside the picture before the face counts as cut off.
CUT_OFF_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class ChosenFace:
    """The face to be judged, and reason codes about other people in the picture."""

    face: Face
    notes: tuple[str, ...]


def choose(faces: tuple[Face, ...], rules: Framing) -> ChosenFace:
    """The face to judge; `faces` come largest first. Raises `ImageRefused` for no face or a second person.

    A second face whose box is below `max_bystander_ratio` of the largest one's area is a far bystander.
    """
    if not faces:
        raise ImageRefused(ErrorCode.NO_FACE_DETECTED, "no face was found in the image")
    largest, *others = faces
    if any(face.box.area >= rules.max_bystander_ratio * largest.box.area for face in others):
        raise ImageRefused(ErrorCode.MULTIPLE_FACES, f"{len(faces)} faces of similar size are in the image")
    return ChosenFace(largest, ("bystander",) if others else ())


def requirements_missed(frame: WorkingFrame, face: Face, pose: Pose, rules: Framing) -> tuple[str, ...]:
    """Reason codes of the image requirements this picture misses, in a fixed order."""
    inside = face.box.clipped(frame.width, frame.height)
    share = inside.area / (frame.width * frame.height)
    brightness = _face_brightness(frame, face)
    lowest, highest = rules.ideal_face_area
    missed = {
        "face_too_small": share < lowest,
        "face_too_large": share > highest,
        "face_cut_off": inside.area < (1 - CUT_OFF_SHARE) * face.box.area,
        "rotation_over_limit": max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) > rules.max_rotation_deg,
        "too_dark": brightness < DARK_GREY,
        "too_bright": brightness > BRIGHT_GREY,
        "uneven_light": _evenness(frame, face) < EVEN_SHARE,
    }
    return tuple(code for code, is_missed in missed.items() if is_missed)


def _face_brightness(frame: WorkingFrame, face: Face) -> float:
    """Mean grey level of the face box inside the frame, 0 to 255; 0 if no part of the box is inside."""
    box = face.box.clipped(frame.width, frame.height)
    pixels = frame.grey[int(box.top) : int(box.bottom) + 1, int(box.left) : int(box.right) + 1]
    return float(pixels.mean()) if pixels.size else 0.0


def _evenness(frame: WorkingFrame, face: Face) -> float:
    """Brightness of the darker half of the face, left or right, over that of the brighter one, 0 to 1. Hair above and
    background beside the face are left out."""
    box = face.box.clipped(frame.width, frame.height)
    height, width = box.bottom - box.top, box.right - box.left
    rows = frame.grey[int(box.top + height / 4) : int(box.bottom) + 1]
    middle = int((box.left + box.right) / 2)
    halves = rows[:, int(box.left + width / 8) : middle], rows[:, middle : int(box.right - width / 8)]
    if not all(half.size for half in halves):
        return 1.0
    darker, brighter = sorted(float(half.mean()) for half in halves)
    return darker / brighter if brighter else 1.0
