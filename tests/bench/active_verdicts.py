"""Verdicts on rendered sequences of active sessions, with the frames' texture and the presentation-attack networks.

    python tests/bench/active_verdicts.py [--sequences 50] [--kinds genuine turned_photograph ...]

As `tests/bench/active_liveness.py`, whose table is of movements, flatness and light alone; here every frame's surface
counts as well, under the policy `signals` and under `learned` with the networks that are fetched. Prints a table in
Markdown. The frames are rendered, and networks that look for generated pictures may say so.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

from config import policy as policies
from config.cache import cache_folder
from config.catalogues.challenges import CHALLENGES
from config.policy import Policy
from config.settings import Settings
from detectors.analysis import FaceAnalyser
from detectors.pool.slot_process import answers_to
from stream.bootstrap.models import face_bound, network_sources, template_source
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection
from stream.events.message.session_terms import FrameContext, LivenessMode, SessionTerms
from stream.pipeline.capture.compared_frames import of_analyses
from stream.pipeline.verdict.session_verdict import session_verdict
from stream.pipeline.verdict.verdict import Verdict
from tests.bench.active_liveness import COLOUR_MS, PASS, Bench, kinds
from tests.sequences import RenderedSequence

POLICIES = (policies.SIGNALS, policies.LEARNED)


class Verdicts:
    """Verdicts of both policies on one analysis of each frame."""

    def __init__(self, sequences: int) -> None:
        settings, learned = Settings(), policies.load(policies.LEARNED)
        source = template_source(settings, learned)
        self._analyser = FaceAnalyser(learned, template=source, networks=network_sources(settings, learned))
        self._bound = face_bound(settings, learned)
        self._bench, self._sequences = Bench(cache_folder(), sequences, 0), sequences
        self.policies = [policies.load(path) for path in POLICIES]

    def rows(self, kind: str, session: str, strength: float) -> list[str]:
        found: dict[str, list[Verdict]] = {policy.name: [] for policy in self.policies}
        for number in range(self._sequences):
            detection = self._detection(self._bench.rendered(kind, session, strength, number))
            for policy in self.policies:
                found[policy.name].append(self._verdict(detection, policy))
        return [row(kind, session, strength, name, verdicts) for name, verdicts in found.items()]

    def _verdict(self, detection: Detection, policy: Policy) -> Verdict:
        finding = detection.finding
        assert isinstance(finding, tuple), "analysed"
        return session_verdict(detection, finding, policy, face_bound=self._bound)

    def _detection(self, sequence: RenderedSequence) -> Detection:
        images = [memoryview(frame.image) for frame in sequence.frames]
        analyses = [each.analysis for each in answers_to(self._analyser, images, measured=True)]
        return Detection(
            ids=SubmissionIds(submission_id="bench"),
            fingerprint="0" * 32,
            appended_at_ms=0,
            finding=tuple(replace(each, template=None, picture=None) for each in analyses),
            session=SessionTerms(
                session_id="bench",
                mode=LivenessMode.ACTIVE,
                active=True,
                threshold=PASS,
                challenges=tuple(name for name in sequence.challenges if name in CHALLENGES),  # type: ignore[misc]
                colours=tuple(sequence.colours),  # type: ignore[arg-type]  # names of the catalogue
                colour_ms=COLOUR_MS if sequence.colours else 0,
                attempt=1,
                attempts_allowed=1,
            ),
            contexts=tuple(
                FrameContext(challenge=each.challenge, at_ms=each.at_ms, colour=each.colour)  # type: ignore[arg-type]
                for each in sequence.frames
            ),
            face_distances=of_analyses(analyses, {}),
            pixels=tuple(each.picture and each.picture.pixels_sha256[:32] for each in analyses),
        )


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
