"""Counts of injection indications on a folder of pictures: false alarms on bona fide ones, hits on attacks.

python tests/bench/injection_indications.py DIR      DIR laid out as `liveness evaluate` takes it
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from config.policy import Policy
from detectors.contract import Analysis, ImageRefused
from detectors.frame import decode
from detectors.image_gate import inspect
from detectors.injection.checks import indications_of, with_decoded
from stream.evaluation.picture_set import PresentationLabel, read
from stream.pipeline.verdict.injection import LivenessFlag, injection_verdict


def main(folder: Path, policy: Policy) -> None:
    pictures, not_live = Counter[str](), Counter[str]()
    found: dict[str, Counter[str]] = {}
    for each in read(folder).presentations:
        species = "bona fide" if each.label is PresentationLabel.BONA_FIDE else each.species
        image = each.path.read_bytes()
        try:
            header = inspect(image, policy.image)
            indications = with_decoded(indications_of(image, header), header, decode(image, header))
        except ImageRefused:
            continue
        pictures[species] += 1
        found.setdefault(species, Counter()).update(indication.code for indication in indications)
        verdict = injection_verdict((Analysis(indications=indications),), policy)
        if verdict.flag is not LivenessFlag.LIVE:
            not_live[species] += 1
            print(f"Not Live: {each.name} ({', '.join(indication.code for indication in indications)})")
    for species, count in pictures.items():
        print(f"{species}: {count} pictures, {not_live[species]} Not Live, {dict(found[species])}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Policy())
