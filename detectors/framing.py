"""Framing of the face: who is in the picture, and what the person should change.

The one-face rule refuses a picture; a missed image requirement is a note, a reason code that moves no score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import Framing
from detectors.contract import ImageRefused
from detectors.exposure import CLIPPED_FROM, Exposure
from detectors.face_mesh import Box, Face, Pose
from detectors.frame import WorkingFrame

#: Brightness of the darker half of the face over that of the brighter one below which it is half in shadow. 60 bona
#: fide pictures lie between 0.40 and 1; with one half darkened to a third, eight of ten lie below 0.38.
EVEN_SHARE = 0.38
#: Share of the face box that may lie outside the picture before the face counts as cut off.
CUT_OFF_SHARE = 0.01
#: The mesh is trusted with the number of people where it found one face of such a share of the picture, at a confidence
#: of at most this: of 90 pairs of portraits whose larger face lies there it missed 1, of 77 others 13, and a third of
#: all at a confidence of 0.8. Counting costs 8 ms, as much as the mesh.
SURE_SHARES, SURE_CONFIDENCE = (0.10, 0.30), 0.6


@dataclass(frozen=True, slots=True)
class ChosenFace:
    """The face to be judged, and reason codes about other people in the picture."""

    face: Face
    notes: tuple[str, ...]


def needs_count(faces: tuple[Face, ...], frame: WorkingFrame, min_face_confidence: float) -> bool:
    """Whether the people on a frame must be counted apart from the `faces` that the mesh found."""
    if len(faces) != 1 or min_face_confidence > SURE_CONFIDENCE:
        return True
    least, most = SURE_SHARES
    return not least <= _share(faces[0], frame) <= most


def choose(faces: tuple[Face, ...], counted: tuple[Box, ...], rules: Framing) -> ChosenFace:
    """The face to judge, of the mesh's `faces`; people are those and the `counted` ones. Raises `ImageRefused` for no
    face or a second person.

    A second face whose box is below `max_bystander_ratio` of the largest one's area is a far bystander.
    """
    people = [*counted, *(face.box for face in faces if not any(face.box.covers(box) for box in counted))]
    if not people:
        raise _nobody()
    largest, *others = sorted(people, key=lambda box: box.area, reverse=True)
    if any(box.area >= rules.max_bystander_ratio * largest.area for box in others):
        raise ImageRefused(ErrorCode.MULTIPLE_FACES, f"{len(people)} faces of similar size are in the image")
    subject = next((face for face in faces if face.box.covers(largest)), None)
    if subject is None:
        raise _nobody()
    return ChosenFace(subject, ("bystander",) if others else ())


def _nobody() -> ImageRefused:
    return ImageRefused(ErrorCode.NO_FACE_DETECTED, "no face was found in the image")


def requirements_missed(frame: WorkingFrame, face: Face, pose: Pose, rules: Framing) -> tuple[str, ...]:
    """Reason codes of the image requirements this picture misses, in a fixed order."""
    inside = face.box.clipped(frame.width, frame.height)
    share = _share(face, frame)
    exposure = exposure_of(frame, face)
    lowest, highest = rules.ideal_face_area
    missed = {
        "face_too_small": share < lowest,
        "face_too_large": share > highest,
        "face_cut_off": inside.area < (1 - CUT_OFF_SHARE) * face.box.area,
        "rotation_over_limit": max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) > rules.max_rotation_deg,
        "too_dark": exposure.too_dark,
        "too_bright": exposure.too_bright,
        "uneven_light": _evenness(frame, face) < EVEN_SHARE,
    }
    return tuple(code for code, is_missed in missed.items() if is_missed)


def _share(face: Face, frame: WorkingFrame) -> float:
    return face.box.clipped(frame.width, frame.height).area / (frame.width * frame.height)


def exposure_of(frame: WorkingFrame, face: Face) -> Exposure:
    """Exposure of a face; 0 and 0 if no part of the box is inside the frame. Called by framing, and for the measures of
    active liveness."""
    box = face.box.clipped(frame.width, frame.height)
    whole, skin = box.cut(frame.grey), np.hstack(_halves(frame, box))
    brightness = float(whole.mean()) if whole.size else 0.0
    return Exposure(brightness, float((skin >= CLIPPED_FROM).mean()) if skin.size else 0.0)


def _halves(frame: WorkingFrame, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Grey pixels of the left and right half of a clipped face box, without hair above and background beside."""
    rows = frame.grey[int(box.top + box.height / 4) : int(box.bottom) + 1]
    middle, beside = int(box.middle[0]), box.width / 8
    return rows[:, int(box.left + beside) : middle], rows[:, middle : int(box.right - beside)]


def _evenness(frame: WorkingFrame, face: Face) -> float:
    """Brightness of the darker half of the face, left or right, over that of the brighter one, 0 to 1."""
    halves = _halves(frame, face.box.clipped(frame.width, frame.height))
    if not all(half.size for half in halves):
        return 1.0
    darker, brighter = sorted(float(half.mean()) for half in halves)
    return darker / brighter if brighter else 1.0
