"""Coverage-guided fuzzing of the image gate, by hand: `pip install atheris`, then
`python tests/fuzz/fuzz_image_gate.py -max_len=20000 -runs=1000000 [CORPUS_FOLDER]`.

Anything but an `ImageHeader` or an `ImageRefused` is a finding; so is a picture range outside the file.
"""

from __future__ import annotations

import sys

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed; it is no part of the lock file")

with atheris.instrument_imports(include=["detectors"]):
    from config.limits.capture import ImageLimits
    from detectors.contract import ImageRefused
    from detectors.image_gate import inspect

LIMITS = ImageLimits()
MAGICS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"")


def one_input(noise: bytes) -> None:
    """A run: the first byte picks a magic to put in front, so that parsers are reached at once."""
    image = MAGICS[noise[0] % len(MAGICS)] + noise[1:] if noise else noise
    try:
        header = inspect(image, LIMITS)
    except ImageRefused:
        return
    if not all(0 <= start < stop <= len(image) for start, stop in header.container.pictures):
        raise AssertionError("a picture range lies outside the file")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
