"""How the template suffers as a face gets smaller: the source of the gate's floor in `detectors/template/quality.py`.

    .venv/bin/python tests/bench/template_quality.py [FOLDER ...]      (default: $LIVENESS_TEST_IMAGES)

Every labelled photograph is scaled until the eyes' centres are so many pixels apart, and its template compared with
that of the picture at full size, and with those of every other person.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from config.cache import cache_folder
from config.policy import Policy
from detectors.alignment import cut, placement
from detectors.analysis import FaceAnalyser
from detectors.contract import ImageRefused
from detectors.frame import WORKING_SIDE
from detectors.template import TemplateSource
from detectors.template.calibration import labelled_pictures
from detectors.template.quality import interocular_px
from stream.demo import attacks
from tests.photographs import folder as usual_folder

SIZES = (96, 64, 48, 40, 32, 24, 20, 16, 12)


def main() -> None:
    folders = [Path(folder) for folder in sys.argv[1:]] or [usual_folder()]
    analyser = FaceAnalyser(Policy(), None, TemplateSource(manifest=None, cache=cache_folder()))
    pictures = [(person, attacks.decode(path.read_bytes())) for f in folders for person, path in labelled_pictures(f)]

    def template(photo: attacks.Photo) -> tuple[np.ndarray, float] | None:
        try:
            seen = analyser.look(attacks.jpeg(photo, quality=90)).seen
        except ImageRefused:
            return None
        assert analyser.template is not None
        geometry = analyser.template.spec.chip
        vector = analyser.template.embed(cut(seen.frame.bgr, placement(seen.face.landmarks, geometry), geometry.side))
        return vector, interocular_px(seen.face)

    full = [template(photo) for _, photo in pictures]
    print(f"{'eyes apart':>10} {'found':>6}  from itself: median, most   nearest stranger   farthest of one person")
    for size in SIZES:
        own, strangers, same, found = [], [], [], 0
        for (person, photo), known in zip(pictures, full, strict=True):
            if known is None or known[1] < size:
                continue
            factor = size / known[1] * min(1.0, WORKING_SIDE / max(photo.shape[:2]))
            small = np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
            seen = template(small) if min(small.shape[:2]) >= 64 else None
            if seen is None:
                continue
            found += 1
            own.append(float(np.linalg.norm(seen[0] - known[0])))
            for (other, _), theirs in zip(pictures, full, strict=True):
                if theirs is not None and theirs is not known:
                    distance = float(np.linalg.norm(seen[0] - theirs[0]))
                    (same if other == person else strangers).append(distance)
        if own:
            apart = f"{np.median(own):19.3f} {max(own):6.3f} {min(strangers):18.3f} {max(same):18.3f}"
            print(f"{size:>10} {found:>6}  {apart}")


if __name__ == "__main__":
    main()
