"""Verdicts on rendered sequences of active sessions, with the frames' texture and the presentation-attack networks.

    python tests/bench/active_verdicts.py [--sequences 50] [--kinds genuine turned_photograph ...]

As `tests/bench/active_liveness.py`, whose table is of movements, flatness and light alone; here every frame's surface
counts as well, under the policy `signals` and under `learned` with the networks that are fetched. Prints a table in
Markdown. The frames are rendered, and networks that look for generated pictures may say so.
"""

from __future__ import annotations

import argparse
from collections import Counter

from config import policy as policies
from config.cache import cache_folder
from config.policy import Policy
from config.settings import Settings
from detectors.analysis import FaceAnalyser
from stream.bootstrap.models import network_sources, template_source, template_spec
from stream.events.message.messages import Detection
from stream.pipeline.verdict.session_verdict import session_verdict
from stream.pipeline.verdict.verdict import Verdict
from tests.bench.active_liveness import Bench, detection_of, kinds

POLICIES = (policies.SIGNALS, policies.LEARNED)


class Verdicts:
    """Verdicts of both policies on one analysis of each frame."""

    def __init__(self, sequences: int) -> None:
        settings, learned = Settings(), policies.load(policies.LEARNED)
        source = template_source(settings, learned)
        self._analyser = FaceAnalyser(learned, template=source, networks=network_sources(settings, learned))
        spec = template_spec(settings, learned)
        self._bound = None if spec is None else spec.genuine_threshold
        self._bench, self._sequences = Bench(cache_folder(), sequences, 0), sequences
        self.policies = [policies.load(path) for path in POLICIES]

    def rows(self, kind: str, session: str, strength: float) -> list[str]:
        found: dict[str, list[Verdict]] = {policy.name: [] for policy in self.policies}
        for number in range(self._sequences):
            detection = detection_of(self._analyser, self._bench.rendered(kind, session, strength, number))
            for policy in self.policies:
                found[policy.name].append(self._verdict(detection, policy))
        return [row(kind, session, strength, name, verdicts) for name, verdicts in found.items()]

    def _verdict(self, detection: Detection, policy: Policy) -> Verdict:
        finding = detection.finding
        assert isinstance(finding, tuple), "analysed"
        return session_verdict(detection, finding, policy, face_bound=self._bound)


def row(kind: str, session: str, strength: float, policy: str, verdicts: list[Verdict]) -> str:
    counted = Counter(str(each.kind) for each in verdicts)
    reasons = Counter(each.reasons[0] for each in verdicts if each.reasons and str(each.kind) != "LIVE")
    first = ", ".join(f"{code} {count}" for code, count in reasons.most_common(4))
    live, review, spoof = (counted[name] for name in ("LIVE", "INCONCLUSIVE", "SPOOF"))
    return f"| {kind} | {session} | {strength:g} | {policy} | {live} | {review} | {spoof} | {first} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=50)
    parser.add_argument("--kinds", nargs="*", default=["genuine"])
    options = parser.parse_args()
    verdicts = Verdicts(options.sequences)
    print("| kind | session | strength | policy | LIVE | INCONCLUSIVE | SPOOF | first reason |")
    print("|---" * 8 + "|")
    for kind, session, strength, _ in kinds(options.kinds, [1.0]):
        for line in verdicts.rows(kind, session, strength):
            print(line, flush=True)


if __name__ == "__main__":
    main()
