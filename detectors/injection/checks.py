"""The checks of a picture's file, and the one way to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from config.catalogues.injection import UNCHECKED
from detectors.contract import Indication
from detectors.face_mesh.port import Face
from detectors.frame import WorkingFrame
from detectors.image_gate import ImageHeader
from detectors.injection.declarations import declarations
from detectors.injection.embedded import EmbeddedMetadata, read_embedded
from detectors.injection.generator_framing import generator_framing
from detectors.injection.quantization import quantization
from detectors.injection.sizes import sizes
from detectors.injection.software import software
from detectors.injection.thumbnail import thumbnail

Check = Callable[[EmbeddedMetadata], Iterable[Indication]]

CHECKS: tuple[Check, ...] = (software, declarations, sizes, quantization)


def indications_of(image: bytes | memoryview, header: ImageHeader) -> tuple[Indication, ...]:
    """Indications in a file that the image gate let through, each code once. Called by the analysis; raises nothing: a
    check that breaks is an indication of its own, so that a bug never passes for a clean file."""
    try:
        embedded = read_embedded(image, header)
        return _each_once([indication for check in CHECKS for indication in check(embedded)])
    except Exception as error:  # any bug must cost this check only
        return (_unchecked(error),)


def with_decoded(found: tuple[Indication, ...], header: ImageHeader, frame: WorkingFrame) -> tuple[Indication, ...]:
    """Indications of a file and of its pixels together. Called by the analysis when the picture is decoded; raises
    nothing, as `indications_of`."""
    try:
        return _each_once([*found, *thumbnail(header.exif.thumbnail, frame.bgr)])
    except Exception as error:  # any bug must cost this check only
        return _each_once([*found, _unchecked(error)])


def with_face(found: tuple[Indication, ...], frame: WorkingFrame, face: Face) -> tuple[Indication, ...]:
    """Indications of a file and of the place of its face together. Called by the analysis when the face is chosen;
    raises nothing, as `indications_of`."""
    try:
        return _each_once([*found, *generator_framing(face.landmarks, frame.width, frame.height)])
    except Exception as error:  # any bug must cost this check only
        return _each_once([*found, _unchecked(error)])


def _each_once(found: list[Indication]) -> tuple[Indication, ...]:
    return tuple({each.code: each for each in reversed(found)}.values())[::-1]


def _unchecked(error: Exception) -> Indication:
    return Indication(code=UNCHECKED, detail=f"The file's metadata could not be checked ({type(error).__name__}).")
