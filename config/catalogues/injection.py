"""The catalogue of injection indications: signs that a picture was put into the capture pipeline instead of captured.

Policy weights, labels of a decision and the set of indications that may exist follow from here. A new indication is
its check in `detectors/injection/` and one line below. Data only. A weight of 1 is enough for Not Live, 2 for an
attack: 1 is for what no capture writes, less for what bona fide pictures have too. docs/DETECTION.md has measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class IndicationSpec:
    """Indication by its `label`, shown to people, and its default `weight`."""

    label: str
    weight: float


#: Code of a check that broke: no evidence, but the picture counts as not checked.
UNCHECKED = "injection_unchecked"
#: Indications that most pictures stripped of their metadata have: they are shown, and are no reason of a verdict.
WEAKEST_REASON = 0.3

INDICATIONS: Mapping[str, IndicationSpec] = MappingProxyType(
    {
        "virtual_camera": IndicationSpec("Virtual camera", 2.0),
        "face_swap_software": IndicationSpec("Face-swapping software", 2.0),
        "generator_software": IndicationSpec("Picture generator", 2.0),
        "generator_settings": IndicationSpec("Settings of a picture generator", 2.0),
        "declared_generated": IndicationSpec("Declared as generated", 2.0),
        "declared_screen_capture": IndicationSpec("Declared as screen capture", 1.0),
        "capture_software": IndicationSpec("Screen-capture software", 1.0),
        "editor_software": IndicationSpec("Editing software", 0.8),
        "declared_edited": IndicationSpec("Declared as edited", 0.5),
        "editor_beside_camera": IndicationSpec("Editing software beside a camera", 0.4),
        "social_network_copy": IndicationSpec("Copy from a social network", 0.5),
        "taken_in_future": IndicationSpec("Taken after it was sent", 0.5),
        "taken_at_other_time": IndicationSpec("Taken at another time", 0.5),
        "exif_size_differs": IndicationSpec("Size other than metadata says", 0.4),
        "thumbnail_differs": IndicationSpec("Thumbnail of something else", 0.5),
        "other_compression": IndicationSpec("Compressed by other software", 0.2),
        "screen_size": IndicationSpec("Size of a screen", 0.5),
        "generator_framing": IndicationSpec("Framed as generators do", 0.9),
        "generator_size": IndicationSpec("Size that generators make", 0.2),
        "no_camera_metadata": IndicationSpec("No camera metadata", 0.1),
        "capture_forged": IndicationSpec("Forged capture statement", 2.0),
        #: Counts where the session asks for an attested capture, whatever the weight.
        "capture_not_attested": IndicationSpec("Capture not attested", 0.0),
        #: A browser's camera is easily replaced by a program; nothing measured says by how much that weighs.
        "captured_by_web": IndicationSpec("Captured in a browser", 0.0),
        UNCHECKED: IndicationSpec("Check could not be made", 0.0),
    }
)
