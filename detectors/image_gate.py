"""The image gate: may a picture's bytes be handed to a native decoder? Pure Python, headers only.

In order: bytes, magic, container walk (`containers/`), size, work of the decode, pixels per byte, EXIF. A picture that
passes may still be malformed inside; the slot's memory and time limits are the next line of defence.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from detectors.containers import PARSERS, Container, Incomplete, Malformed, NotAsStored, NotStill
from detectors.containers.work import Work
from detectors.contract import ImageRefused
from detectors.exif import ExifFacts, read_exif
from detectors.image_format import ImageFormat, sniff

#: Below this many pixels any ratio is harmless: 4 MP decode in about 40 ms and 12 MB whatever the format.
RATIO_FREE_PIXELS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """Header of a picture the gate let through. An `exif.orientation` of 5 to 8 swaps the sides of the `container`."""

    format: ImageFormat
    container: Container
    exif: ExifFacts
    trailing_data: bool


def inspect(image: bytes | memoryview, limits: ImageLimits) -> ImageHeader:
    """Header of a picture that may be decoded; raises `ImageRefused` otherwise. Bounded work, no I/O."""
    view = memoryview(image).cast("B")
    if not len(view):
        raise ImageRefused(ErrorCode.INVALID_REQUEST, "the image is empty", reason="image_incomplete")
    if len(view) > limits.max_bytes:
        raise ImageRefused(
            ErrorCode.IMAGE_TOO_LARGE, f"the image has {len(view)} bytes, at most {limits.max_bytes} are taken"
        )
    image_format = sniff(view)
    if image_format is None:
        raise ImageRefused(ErrorCode.UNSUPPORTED_FORMAT, "the image is not a JPEG, PNG, WebP or BMP")
    container = _parse(view, image_format)
    _check_size(container, len(view), limits)
    return ImageHeader(
        format=image_format,
        container=container,
        exif=read_exif(container.exif, container_software=container.software),
        trailing_data=container.end < len(view),
    )


def _parse(view: memoryview, image_format: ImageFormat) -> Container:
    try:
        return PARSERS[image_format](view)
    except NotStill as refusal:
        raise ImageRefused(ErrorCode.UNSUPPORTED_FORMAT, str(refusal)) from None
    except NotAsStored as refusal:
        raise ImageRefused(ErrorCode.INVALID_REQUEST, str(refusal), reason="image_transparent") from None
    except Malformed as refusal:
        reason = "image_incomplete" if isinstance(refusal, Incomplete) else "image_damaged"
        raise ImageRefused(ErrorCode.INVALID_REQUEST, str(refusal), reason=reason) from None


def _check_size(container: Container, file_bytes: int, limits: ImageLimits) -> None:
    width, height = container.width, container.height
    pixels, size = width * height, f"the image is {width}x{height} pixels"
    if min(width, height) < limits.min_side:
        words = f"{size}, its shorter side must have {limits.min_side}"
        raise ImageRefused(ErrorCode.INVALID_REQUEST, words, reason="image_too_small")
    if pixels > limits.max_pixels or max(width, height) > limits.max_side:
        most = f"at most {limits.max_pixels} in all and {limits.max_side} a side are taken"
        raise ImageRefused(ErrorCode.IMAGE_TOO_LARGE, f"{size}, {most}")
    if container.work.is_too_much:
        raise ImageRefused(ErrorCode.IMAGE_TOO_LARGE, f"{size} and {_too_much_work(container.work, pixels)}")
    if pixels > RATIO_FREE_PIXELS and pixels > limits.max_pixels_per_byte * file_bytes:
        words = f"the image unpacks to {pixels} pixels from {file_bytes} bytes, which no photograph does"
        raise ImageRefused(ErrorCode.IMAGE_TOO_LARGE, words)


def _too_much_work(work: Work, pixels: int) -> str:
    """Words on a picture that is too much work, with what to send in its place: a JPEG of one scan never is."""
    megapixels = work.most_pixels(pixels) // 100_000 / 10
    smaller = f", or with at most {megapixels:g} megapixels" if megapixels >= 1 else ""
    return f"too much work to decode: save it as a JPEG that is not progressive{smaller}"
