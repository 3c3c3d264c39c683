"""How severe the attacks on pictures of your own are, as `attack_severity` counts them: the source of the rule's limit.

    .venv/bin/python tests/bench/attack_severity.py FOLDER ...

Every picture below the folders goes through the whole analysis under the policy in force. Prints for each folder the
pictures, the verdicts and the severities of those that were SPOOF, then how many pictures each limit would count.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from config import settings as configuration
from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.native_output import native_stderr_silenced
from stream.pipeline.decision.abuse_stage import severity_of
from stream.pipeline.intake.intake import check_image
from stream.pipeline.verdict.verdict import Verdict, VerdictKind, judge

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
LIMITS = tuple(step / 20 for step in range(1, 13))


def verdicts(folder: Path, policy: Policy) -> Iterator[tuple[Path, Verdict]]:
    """Each picture below the folder with its verdict."""
    analyser = FaceAnalyser(policy)
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES):
        image = path.read_bytes()
        yield path.parent, judge(check_image(image, policy.image) or analyser.analyse(image), policy)


def main() -> None:
    policy = configuration.load().policy()
    severities: dict[Path, list[float]] = defaultdict(list)
    kinds: dict[Path, list[str]] = defaultdict(list)
    with native_stderr_silenced():
        for folder in map(Path, sys.argv[1:]):
            for place, verdict in verdicts(folder, policy):
                kinds[place].append("ERROR" if verdict.confidence is None else verdict.kind)
                if verdict.kind is VerdictKind.SPOOF and verdict.confidence is not None:
                    severities[place].append(severity_of(verdict.confidence, policy))
    for place, found in kinds.items():
        counts = {kind: found.count(kind) for kind in sorted(set(found))}
        print(f"{place}: {len(found)} pictures {counts}; severities", sorted(severities[place]))
    print("\npictures counted from a severity of")
    for limit in LIMITS:
        counted = {place.name: sum(each >= limit for each in found) for place, found in severities.items()}
        print(f"  {limit:.2f}", counted)


if __name__ == "__main__":
    main()
