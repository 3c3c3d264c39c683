"""Work of a decode against processor time, for the weights of `detectors/containers/work.py`.

    .venv/bin/python -m tests.bench.decode_work

The portrait that ships is enlarged and given grain, encoded in every format and way below, and taken through gate and
decode alone. The last column is milliseconds for a million of work, which should be about 1, and the same for all;
pictures beyond the bound are measured without it.
"""

from __future__ import annotations

import os
from io import BytesIO
from time import process_time

from detectors.pool.settings import NATIVE_ENVIRONMENT

os.environ.update(NATIVE_ENVIRONMENT)

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from config.limits.capture import ImageLimits
from detectors import image_gate
from detectors.containers import PARSERS, work
from detectors.frame import decode
from detectors.image_format import sniff
from stream.demo import attacks
from stream.demo.scenario import astronaut

ROUNDS = 3
SIZES = ((3024, 4032), (6144, 8160))
LIMITS = ImageLimits(max_bytes=100 * 1024 * 1024)
MS, MILLION = 1000, 1_000_000
#: Pixels beyond which only JPEG is measured.
MOST_IN_ALL_FORMATS = 20 * MILLION

JPEGS = {
    "JPEG": {},
    "JPEG 4:4:4": {"subsampling": 0},
    "JPEG progressive": {"progressive": True},
    "JPEG progressive 4:4:4": {"progressive": True, "subsampling": 0},
}


def photograph(width: int, height: int) -> NDArray[np.uint8]:
    large = cv2.resize(attacks.portrait(attacks.decode(astronaut())), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(1).integers(-3, 4, (height, width, 1))
    return np.clip(large + grain, 0, 255).astype(np.uint8)


def encoded(photo: NDArray[np.uint8]) -> dict[str, bytes]:
    """Files of a photograph by the way they were made."""
    files = {}
    for name, options in JPEGS.items():
        buffer = BytesIO()
        Image.fromarray(photo[..., ::-1]).save(buffer, "JPEG", quality=85, **options)
        files[name] = buffer.getvalue()
    if photo.size > 3 * MOST_IN_ALL_FORMATS:
        return files
    deep = photo.astype(np.uint16) * 257
    opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    files |= {
        name: cv2.imencode(ending, pixels, options)[1].tobytes()
        for name, ending, pixels, options in (
            ("PNG", ".png", photo, ()),
            ("PNG RGBA", ".png", opaque, ()),
            ("PNG 16 bits", ".png", deep, ()),
            ("WebP 80", ".webp", photo, (cv2.IMWRITE_WEBP_QUALITY, 80)),
            ("WebP 95", ".webp", photo, (cv2.IMWRITE_WEBP_QUALITY, 95)),
            ("WebP without loss", ".webp", photo, (cv2.IMWRITE_WEBP_QUALITY, 101)),
            ("BMP", ".bmp", photo, ()),
        )
    }
    return files


def measure(file: bytes) -> tuple[float, float]:
    """Work in millions, and the shortest processor time of some rounds, milliseconds."""
    kind = sniff(file)
    assert kind is not None
    found = PARSERS[kind](memoryview(file)).work
    times = []
    for _ in range(ROUNDS):
        started = process_time()
        decode(file, image_gate.inspect(file, LIMITS))
        times.append(process_time() - started)
    return (found.by_size + found.coded) / MILLION, min(times) * MS


def main() -> None:
    work.MOST = 1 << 62
    for width, height in SIZES:
        for name, file in encoded(photograph(width, height)).items():
            units, ms = measure(file)
            size = f"{width * height / MILLION:5.1f} MP {len(file) / MILLION:6.2f} MB"
            print(f"{name:24} {size} work {units:6.0f}  {ms:6.0f} ms  {ms / units:5.2f}", flush=True)


if __name__ == "__main__":
    main()
