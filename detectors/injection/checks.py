"""The checks of a picture's file, and the one way to run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

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

    def of_file() -> Iterator[Indication]:
        embedded = read_embedded(image, header)
        return chain.from_iterable(check(embedded) for check in CHECKS)

    return _with((), of_file)


def with_decoded(found: tuple[Indication, ...], header: ImageHeader, frame: WorkingFrame) -> tuple[Indication, ...]:
    """Indications of a file and of its pixels together. Called by the analysis when the picture is decoded; raises
    nothing, as `indications_of`."""
    return _with(found, lambda: thumbnail(header.exif.thumbnail, frame.bgr))


def with_face(found: tuple[Indication, ...], frame: WorkingFrame, face: Face) -> tuple[Indication, ...]:
    """Indications of a file and of the place of its face together. Called by the analysis when the face is chosen;
    raises nothing, as `indications_of`."""
    return _with(found, lambda: generator_framing(face.landmarks, frame.width, frame.height))


def _with(found: tuple[Indication, ...], check: Callable[[], Iterable[Indication]]) -> tuple[Indication, ...]:
    """Indications found before and by a check, the first of each code."""
    try:
        more = list(check())
    except Exception as error:  # any bug must cost this check only
        words = f"The file's metadata could not be checked ({type(error).__name__})."
        more = [Indication(code=UNCHECKED, detail=words)]
    return tuple({each.code: each for each in reversed([*found, *more])}.values())[::-1]
