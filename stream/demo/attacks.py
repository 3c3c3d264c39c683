"""Simulated submissions from one photograph: what a camera, an attacker or a careless person would send.

Pure functions: a uint8 (height, width, 3) BGR photograph in, the bytes of a JPEG or PNG file out, the same
bytes for the same photograph. They imitate what an attack leaves in a picture (dots of a print, the grid of
a screen, the pattern of an upsampling network), not any particular device; they show and test the signals,
they are no measure of detection rates on real attacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

Photo = NDArray[np.uint8]
_Float = NDArray[np.float32]

#: EXIF of an ordinary phone, tag -> value: make, model, software; then exposure, f-stop, ISO, focal length.
_CAMERA_TAGS = {0x010F: "Example", 0x0110: "Example Phone", 0x0131: "1.0"}
_OPTICAL_TAGS = {0x829A: IFDRational(1, 60), 0x829D: IFDRational(22, 10), 0x8827: 100, 0x920A: IFDRational(27, 10)}


#: Long side of the picture a second camera takes of a print or a screen, pixels.
SECOND_CAMERA_SIDE = 960

#: Head and shoulders of scikit-image's 512x512 astronaut: rows, columns.
_ASTRONAUT_PORTRAIT = (slice(0, 340), slice(60, 400))


def portrait(astronaut: Photo) -> Photo:
    """Portrait: scikit-image's astronaut cropped to a selfie's framing, at its own resolution."""
    return np.ascontiguousarray(astronaut[_ASTRONAUT_PORTRAIT])


def camera_photo(photo: Photo) -> bytes:
    """The photograph as a phone stores it: JPEG with camera EXIF (the tags are ours, and labelled so)."""
    exif = Image.Exif()
    exif.update(_CAMERA_TAGS)
    exif.get_ifd(0x8769).update(_OPTICAL_TAGS)
    return jpeg(photo, quality=92, exif=exif)


def without_metadata(photo: Photo) -> bytes:
    """The photograph as a messenger passes it on: JPEG, no EXIF."""
    return jpeg(photo, quality=85)


def printed_photo(photo: Photo) -> bytes:
    """A print held to the camera: halftone dots, narrow range of tones, soft, slightly tilted."""
    photo = _second_shot(photo)
    tones = _as_float(cv2.GaussianBlur(photo, (0, 0), 1.2))
    dots = _halftone(photo.shape[0], photo.shape[1], cell=4.0, angle_deg=45.0)
    printed = np.clip((tones / 255 - dots[..., None]) * 1.2 + 0.5, 0, 1)
    paper = 30 + 175 * (0.55 * tones / 255 + 0.45 * printed.astype(np.float32))
    soft = cv2.GaussianBlur(paper, (0, 0), 1.3)
    return jpeg(_tilt(_as_uint8(soft), 0.03), quality=80)


def screen_replay(photo: Photo) -> bytes:
    """A phone screen held to the camera: pixel grid with colour stripes, moire, blue cast, glare."""
    photo = _second_shot(photo)
    height, width = photo.shape[:2]
    soft = _as_float(cv2.GaussianBlur(photo, (0, 0), 1.0))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    turned = columns + 0.03 * rows
    stripes = np.stack([_wave(turned + shift, 3.0) for shift in (0.0, 1.0, 2.0)], axis=-1)
    lines = _wave(rows - 0.03 * columns, 3.0)[..., None]
    moire = (_wave(turned, 41.0) * _wave(rows, 37.0))[..., None]
    lit = soft * (0.50 + 0.30 * stripes) * (0.70 + 0.30 * lines) * (0.9 + 0.15 * moire) * 1.35
    glare = np.exp(-(((columns / width - 0.75) / 0.18) ** 2 + ((rows / height - 0.2) / 0.25) ** 2))
    cast = np.array([1.08, 1.0, 0.92], np.float32)
    return jpeg(_as_uint8(lit * cast + 70 * glare[..., None]), quality=85)


def recaptured_photo(photo: Photo) -> bytes:
    """A photo of a photo: small on a table, out of focus, flat, compressed twice."""
    photo = _second_shot(photo)
    once = decode(jpeg(photo, quality=40))
    height, width = photo.shape[:2]
    small = cv2.resize(once, (width * 6 // 10, height * 6 // 10), interpolation=cv2.INTER_AREA)
    table = np.full_like(photo, (70, 95, 120))
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    table[top : top + small.shape[0], left : left + small.shape[1]] = small
    soft = cv2.GaussianBlur(table, (0, 0), 2.2)
    flat = 60 + _as_float(soft) * 0.55
    return jpeg(_tilt(_as_uint8(flat), 0.06), quality=60)


def generated_face(photo: Photo) -> bytes:
    """Generated face: skin without grain and the regular pattern of an upsampling network's strides."""
    smooth = cv2.bilateralFilter(photo, 9, 40, 7)
    height, width = (side // 4 * 4 for side in photo.shape[:2])
    coarse = cv2.resize(smooth[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    # A stride-2 transposed convolution with a 3-tap kernel overlaps unevenly: every second row and column
    # gets more of the sum (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016).
    up = _as_float(np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1))
    gain = np.ones((height, width, 1), np.float32)
    gain[::2] *= 0.94
    gain[:, ::2] *= 0.94
    gain[::4, ::4] *= 0.94
    return png(_as_uint8(up * gain * 1.06))


def edited_photo(photo: Photo) -> bytes:
    """A picture exported by an editor, which names itself in the EXIF software tag."""
    exif = Image.Exif()
    exif[0x0131] = "Adobe Photoshop 25.0"
    return jpeg(photo, quality=92, exif=exif)


def screenshot(photo: Photo) -> bytes:
    """A screenshot of the photograph: PNG whose software tag names the tool."""
    exif = Image.Exif()
    exif[0x0131] = "Screenshot"
    return png(photo, exif=exif)


def two_people(photo: Photo) -> bytes:
    """Two faces of the same size side by side."""
    return jpeg(np.hstack((photo, photo[:, ::-1])), quality=90)


def no_face(photo: Photo) -> bytes:
    """The same colours without a person: the photograph blurred beyond recognition."""
    return jpeg(_as_uint8(cv2.GaussianBlur(photo, (0, 0), max(photo.shape[:2]) / 8)), quality=90)


def low_quality(photo: Photo) -> bytes:
    """A hasty selfie in bad light: dark, shaken, few pixels, hard compression."""
    height, width = photo.shape[:2]
    dark = _as_uint8(_as_float(photo) * 0.45)
    shaken = cv2.filter2D(dark, -1, np.full((1, 7), 1 / 7, np.float32))
    small = cv2.resize(shaken, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return jpeg(_as_uint8(cv2.resize(small, (width, height))), quality=25)


def _second_shot(photo: Photo) -> Photo:
    """The shown picture at the resolution of the camera that takes it again."""
    height, width = photo.shape[:2]
    scale = SECOND_CAMERA_SIDE / max(height, width)
    size = round(width * scale), round(height * scale)
    smaller = scale < 1
    return _as_uint8(cv2.resize(photo, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))


#: Simulated attacks by their names in the demo: presentation attacks, then pictures injected without a camera.
ATTACKS: Mapping[str, Callable[[Photo], bytes]] = {
    "printed photo": printed_photo,
    "screen replay": screen_replay,
    "photo of a photo": recaptured_photo,
    "generated face": generated_face,
    "edited photo": edited_photo,
    "screenshot": screenshot,
}


def scaled_to_bytes(file: bytes, most: int) -> bytes | None:
    """The user's picture as a JPEG of at most `most` bytes, its EXIF kept; None if it can't be read."""
    try:
        with Image.open(BytesIO(file)) as image:
            exif, rgb = image.getexif(), image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    for side in (4000, 2800, 2000, 1400):
        rgb.thumbnail((side, side))
        buffer = BytesIO()
        rgb.save(buffer, "JPEG", quality=90, exif=exif)
        if buffer.tell() <= most:
            return buffer.getvalue()
    return None


def jpeg(photo: Photo, *, quality: int, exif: Image.Exif | None = None) -> bytes:
    """A baseline JPEG of a BGR photograph."""
    return _save(photo, "JPEG", quality=quality, **({"exif": exif} if exif else {}))


def png(photo: Photo, *, exif: Image.Exif | None = None) -> bytes:
    """A PNG of a BGR photograph."""
    return _save(photo, "PNG", compress_level=1, **({"exif": exif} if exif else {}))


def decode(file: bytes) -> Photo:
    """Back to uint8 BGR (pictures made here only)."""
    return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _save(photo: Photo, file_format: str, **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(photo[:, :, ::-1])).save(file, file_format, **options)
    return file.getvalue()


def _halftone(height: int, width: int, *, cell: float, angle_deg: float) -> _Float:
    """Threshold surface (height, width) in 0..1 of a clustered-dot screen, `cell` pixels a dot."""
    angle = np.deg2rad(angle_deg)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    return np.asarray((_wave(along, cell) + _wave(across, cell)) / 2, np.float32)


def _wave(position: NDArray[np.float32], period: float) -> _Float:
    """A cosine of that period in pixels, 0..1."""
    return np.asarray(0.5 + 0.5 * np.cos(2 * np.pi * position / period), np.float32)


def _tilt(photo: Photo, amount: float) -> Photo:
    """A sheet turned a little away: its right side is shorter by `amount` of the height at each end."""
    height, width = photo.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turned = corners + np.array([[0, 0], [0, amount], [0, -amount], [0, 0]], np.float32) * height
    matrix = cv2.getPerspectiveTransform(corners, turned)
    return _as_uint8(cv2.warpPerspective(photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _as_float(photo: object) -> _Float:
    return np.asarray(photo, np.float32)


def _as_uint8(pixels: object) -> Photo:
    return np.asarray(np.clip(np.asarray(pixels), 0, 255), np.uint8)
