"""How many bits of the perceptual hash differ between copies of a picture, and between different pictures: the
source of the numbers in `detectors/picture_hash.py`.

    .venv/bin/python tests/bench/picture_hashes.py [FOLDER ...]      (default: $LIVENESS_TEST_IMAGES, the astronaut)

Every photograph with one face is copied in the ways of `COPIES`; each copy goes through the whole analysis. Prints
the distances by kind of copy and those of different pictures, then how far apart the face templates of copies lie, and
the cost.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from config.cache import cache_folder
from config.policy import Policy
from detectors import picture_hash
from detectors.analysis import FaceAnalyser
from detectors.contract import ImageRefused
from detectors.template import TemplateSource
from detectors.template.extraction import extract
from stream.demo import attacks
from stream.demo.attacks import Photo
from tests.bench.signal_ranges import photographs
from tests.photographs import folder as usual_folder

#: Shares cut off left, top, right, bottom.
CROPS = (
    *((0.05, 0, 0, 0), (0, 0.05, 0, 0), (0.05, 0.05, 0, 0)),
    *((0, 0, 0.05, 0.05), (0.02, 0.05, 0.03, 0.01), (0.05, 0.05, 0.05, 0.05)),
)


def encoded(photo: Photo, kind: str, *options: int) -> bytes:
    return cv2.imencode(kind, photo, list(options))[1].tobytes()


def jpeg(photo: Photo, quality: int = 90) -> bytes:
    return attacks.jpeg(photo, quality=quality)


def scaled(photo: Photo, factor: float) -> Photo:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=method), np.uint8)


def lit(photo: Photo, factor: float, shift: float) -> Photo:
    return np.clip(photo.astype(np.float32) * factor + shift * 255, 0, 255).astype(np.uint8)


def cropped(photo: Photo, shares: tuple[float, ...]) -> Photo:
    height, width = photo.shape[:2]
    left, top, right, bottom = shares
    return photo[int(height * top) : height - int(height * bottom), int(width * left) : width - int(width * right)]


def copies(photo: Photo) -> Iterator[tuple[str, bytes]]:
    """(kind of change, file) of every copy."""
    webp = (encoded(photo, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality) for quality in (80, 50))
    for file in (*(jpeg(photo, quality) for quality in (95, 75, 50)), encoded(photo, ".png"), *webp):
        yield "compressed again (JPEG 95, 75, 50, PNG, WebP 80, 50)", file
    for factor in (0.5, 0.75, 1.5, 2.0):
        yield "scaled (0.5, 0.75, 1.5, 2)", jpeg(scaled(photo, factor))
    for factor, shift in ((0.8, 0.0), (1.2, 0.0), (1.0, -0.2), (1.0, 0.2)):
        yield "brightness (times 0.8, 1.2; minus, plus 20 % of white)", jpeg(lit(photo, factor, shift))
    for shares in CROPS:
        yield "cropped by up to 5 % a side (6 ways)", jpeg(cropped(photo, shares))
    yield "all of it (cropped, times 0.6, JPEG 60)", jpeg(scaled(cropped(photo, (0.05, 0.03, 0.01, 0.05)), 0.6), 60)


@dataclass(frozen=True)
class Seen:
    bits: int
    template: np.ndarray | None


class Looker:
    def __init__(self) -> None:
        self._policy = Policy()
        self._analyser = FaceAnalyser(self._policy, None, TemplateSource(manifest=None, cache=cache_folder()))
        self.milliseconds: list[float] = []

    def look(self, image: bytes) -> Seen | None:
        try:
            framed = self._analyser.look(image)
        except ImageRefused:
            return None
        seen = framed.seen
        started = time.perf_counter()
        bits = picture_hash.perceptual(seen.frame.grey, seen.face.landmarks)
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        assert self._analyser.template is not None
        made = extract(self._analyser.template, seen, framed.notes, self._policy.template).template
        vector = None if made is None else np.frombuffer(made.vector, "<f4")
        return Seen(bits, vector)


def line(name: str, distances: list[int]) -> str:
    within = sum(d <= picture_hash.SAME_PICTURE_BITS for d in distances) / len(distances)
    median, most_of_them = statistics.median(distances), np.percentile(distances, 95)
    return f"  {name:58}{median:4.0f} {most_of_them:4.0f} {max(distances):4d}{within:8.1%}"


def report(kinds: dict[str, list[tuple[Seen, Seen]]], originals: dict[str, Seen]) -> None:
    every = []
    for kind, pairs in kinds.items():
        distances = [picture_hash.hamming(a.bits, b.bits) for a, b in pairs]
        every += distances
        print(line(kind, distances))
    print(line("every copy", every))
    same_person, others = [], []
    for (one, a), (two, b) in itertools.combinations(originals.items(), 2):
        (same_person if person(one) == person(two) else others).append(picture_hash.hamming(a.bits, b.bits))
    for name, distances in (("of one person", same_person), ("of two", others)):
        if distances:
            spread = f"{min(distances)} to {max(distances)}, mean {statistics.fmean(distances):.1f}"
            print(f"  different photographs {name} ({len(distances)} pairs): {spread}")
    distances = np.array(same_person + others) / picture_hash.BITS
    freedom = distances.mean() * (1 - distances.mean()) / distances.var()
    print(f"  as independent as {freedom:.0f} coin tosses of {distances.mean():.2f}")


def person(name: str) -> str:
    return name.rsplit("_", 1)[0] if name.startswith("person") else name


def main() -> None:
    folders = [Path(folder) for folder in sys.argv[1:]] or [usual_folder()]
    looker = Looker()
    originals: dict[str, Seen] = {}
    kinds: dict[str, list[tuple[Seen, Seen]]] = defaultdict(list)
    partial: list[int] = []
    for name, file, _ in photographs(folders):
        photo = attacks.decode(file)
        if name == "astronaut":
            photo = attacks.portrait(photo)
            file = jpeg(photo, 95)
        original = looker.look(file)
        if original is None:
            print(f"{name}: left out, not one face")
            continue
        whole = original.template is not None
        if whole:
            originals[name] = original
        for kind, copy in copies(photo):
            seen = looker.look(copy)
            if seen is None:
                print(f"{name}: a copy has no face any more ({kind})")
            elif whole:
                kinds[kind].append((original, seen))
            else:
                partial.append(picture_hash.hamming(original.bits, seen.bits))
    print(f"\n{len(originals)} whole faces; bits of 64 that differ: median, 95 %, most, within the bound")
    report(kinds, originals)
    if partial:
        print(line("faces cut off by the picture's edge", partial))
    both = [(a.template, b.template) for pairs in kinds.values() for a, b in pairs]
    apart = [float(np.linalg.norm(a - b)) for a, b in both if a is not None and b is not None]
    spread = f"median {np.median(apart):.3f}, 95 % {np.percentile(apart, 95):.3f}, most {max(apart):.3f}"
    print(f"face templates of copies: {spread}")
    print(f"perceptual hash: median {statistics.median(looker.milliseconds):.2f} ms")


if __name__ == "__main__":
    main()
