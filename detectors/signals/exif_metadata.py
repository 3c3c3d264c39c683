"""EXIF metadata: tags of hardware speak for a camera, names of software for a screenshot or an editor."""

from __future__ import annotations

import re

from config.limits.signals import SignalParameters
from detectors.contract import Reading
from detectors.exif import ExifFacts
from detectors.signals.base import FaceObservation, scored

SPOOF_KEYWORDS = (
    *("screenshot", "screen capture", "snipping", "obs", "bandicam"),
    *("photoshop", "gimp", "preview", "snagit"),
)

NO_EXIF, NO_HARDWARE, CAMERA, PER_OPTICAL_TAG, SPOOF_SOFTWARE = 0.50, 0.55, 0.75, 0.05, 0.10

_SPELLED = {word: word.replace(" ", r"[\s_-]*") for word in SPOOF_KEYWORDS}
#: Whole words, so that neither "Obsidian" nor "Jobs" is "obs"; digits may follow ("obs64").
_KEYWORD = re.compile(r"(?<![^\W\d_])(?:" + "|".join(_SPELLED.values()) + r")(?![^\W\d_])", re.IGNORECASE)
#: Parts of words too ("AdobePhotoshopExpress", "Screenshots"), of keywords that no other word contains.
_ANYWHERE = re.compile(
    "|".join(_SPELLED[word] for word in SPOOF_KEYWORDS if word not in ("obs", "gimp", "preview")), re.IGNORECASE
)
#: Where one word of a joined name ends and the next begins: OBS|Studio, my|Preview.
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def spoof_keyword(exif: ExifFacts) -> str | None:
    """Keyword of `SPOOF_KEYWORDS` that a software tag names, or None.

    A user comment counts too if the keyword is all there is: phones mark screenshots so.
    """
    for text in exif.software:
        if found := _ANYWHERE.search(text) or _KEYWORD.search(_JOINT.sub(" ", text)) or _KEYWORD.search(text):
            return _listed(found[0])
    found_comment = _KEYWORD.search(exif.comment)
    only = found_comment is not None and _bare(found_comment[0]) == _bare(exif.comment.removeprefix("ASCII"))
    return _listed(found_comment[0]) if found_comment is not None and only else None


def _bare(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()


def _listed(found: str) -> str:
    """The keyword as the table spells it: nothing out of the file reaches a log."""
    return next(word for word in SPOOF_KEYWORDS if _bare(word) == _bare(found))


class ExifMetadata:
    """Tags of a camera are more live; the name of screen-capture or editing software is an attack's."""

    name = "exif_metadata"

    def __init__(self, parameters: SignalParameters) -> None:
        """No parameter of the published table concerns this signal."""

    def read(self, seen: FaceObservation) -> Reading:
        liveness, detail = _judge(seen.exif)
        return scored(self, liveness, detail, weak="spoof_software")


def _judge(exif: ExifFacts) -> tuple[float, str]:
    if keyword := spoof_keyword(exif):
        return SPOOF_SOFTWARE, f"The file names software that captures screens or edits pictures ({keyword})."
    if not exif.present:
        return NO_EXIF, "The file has no data of a camera (no EXIF)."
    if not exif.has_camera:
        return NO_HARDWARE, "The file does not say which camera took it (EXIF without make or model)."
    if not exif.optical:
        return CAMERA, "The file names a camera, and nothing of the exposure (EXIF make or model)."
    return CAMERA + PER_OPTICAL_TAG * len(
        exif.optical
    ), f"The file names a camera and the exposure ({', '.join(exif.optical)})."
