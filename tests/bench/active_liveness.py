"""Passes and reasons of active liveness on rendered sequences: genuine ones and every attack, by kind and strength.

    python tests/bench/active_liveness.py [--sequences 50] [--strengths 0,0.5,1] [--held-out 4] [--kinds NAME ...]

Frontal photographs (`tests.sequences.sources`) are taken in turn, each time with another seed, order of challenges and
colours. Two kinds of session: *movements* (all four), and *light* (one movement and six colours). The photographs at
the end of the list, `--held-out` of them, are counted apart: thresholds were set without attacks made of them. Prints
a table in Markdown and the time of measuring and assessing. Rendered heads are imitations: the table shows what the
tests can tell apart, not error rates of people and attackers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from config.cache import cache_folder
from config.catalogues.challenges import CHALLENGES, COLOURS
from config.limits.active import ActivePolicy
from config.policy import Policy
from detectors.active.assessed import ActiveAssessment
from detectors.active.assessment import assess
from detectors.analysis import FaceAnalyser
from detectors.pool.slot_process import answers_to
from detectors.template import TemplateSource
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import Detection
from stream.events.message.session_terms import FrameContext, LivenessMode, SessionTerms
from stream.pipeline.capture.compared_frames import of_analyses
from stream.pipeline.verdict.active_verdict import assessed_frames
from tests.sequences import ATTACKS, NEED_LIGHT, TWO_PEOPLE, RenderedSequence, genuine, sources

#: Default threshold of a pass.
PASS, COLOUR_MS, COLOURS_SHOWN = 75, 450, 6
SESSIONS = ("movements", "light")
#: Seeds from here on were not looked at when the thresholds were set.
SEED = 70_000
#: Attacks on the order of movements, which a session of one movement doesn't have.
NEED_MOVEMENTS = frozenset({"wrong_order"})


class Bench:
    """Analyser, photographs and clocks of a run."""

    def __init__(self, cache: Path, sequences: int, held_out: int) -> None:
        self.analyser = FaceAnalyser(Policy(), template=TemplateSource(manifest=None, cache=cache))
        self.photos = list(sources())
        self.measuring: list[float] = []
        self.assessing: list[float] = []
        self._sequences, self._held_out = sequences, held_out

    def judged(self, kind: str, session: str, strength: float, place: int) -> list[tuple[bool, ActiveAssessment]]:
        """Whether its photograph was held out, and the assessment, of so many sequences of one kind (`genuine` or an
        attack), session and strength; each place in the list of strengths has other photographs and seeds."""
        numbers = range(place * self._sequences, (place + 1) * self._sequences)
        first_held_out = len(self.photos) - self._held_out
        return [
            (number % len(self.photos) >= first_held_out, self._judge(self.rendered(kind, session, strength, number)))
            for number in numbers
        ]

    def rendered(self, kind: str, session: str, strength: float, number: int) -> RenderedSequence:
        rng = np.random.default_rng([number, SESSIONS.index(session), SEED])
        asked = [str(name) for name in rng.permutation(CHALLENGES)]
        shown = [str(name) for name in rng.permutation(COLOURS)[:COLOURS_SHOWN]] if session == "light" else []
        place = number % len(self.photos)
        people = [self.photos[place][1]]
        if kind in TWO_PEOPLE:  # neighbours in the list may be one person
            people.append(self.photos[(place + len(self.photos) // 2) % len(self.photos)][1])
        options = {"challenges": [asked[0], "light"] if shown else asked, "colours": shown, "seed": SEED + number}
        if kind == "genuine":
            return genuine(*people, **options)
        return ATTACKS[kind](*people, **options, strength=strength)

    def _judge(self, sequence: RenderedSequence) -> ActiveAssessment:
        detection = detection_of(self.analyser, sequence)
        terms = detection.session
        assert terms is not None
        assert isinstance(detection.finding, tuple)
        assert self.analyser.template is not None
        self.measuring += [each.elapsed_ms.get("measures", 0.0) for each in detection.finding]
        frames = assessed_frames(detection, self.analyser.template.spec.genuine_threshold)
        started = time.perf_counter()
        found = assess(frames, terms.challenges, terms.colours, COLOUR_MS, ActivePolicy())
        self.assessing.append(time.perf_counter() - started)
        return found


def detection_of(analyser: FaceAnalyser, sequence: RenderedSequence) -> Detection:
    """Detection of a sequence, as a worker would make of its frames."""
    images = [memoryview(frame.image) for frame in sequence.frames]
    analyses = [each.analysis for each in answers_to(analyser, images, measured=True)]
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


def kinds(named: list[str], strengths: list[float]) -> Iterator[tuple[str, str, float, int]]:
    """Kind, session, strength and the strength's place, of every row of the table."""
    for kind in named or ["genuine", *ATTACKS]:
        for session in SESSIONS:
            if not ((session == "movements" and kind in NEED_LIGHT) or (session == "light" and kind in NEED_MOVEMENTS)):
                listed = [1.0] if kind == "genuine" else strengths
                yield from ((kind, session, strength, place) for place, strength in enumerate(listed))


def row(kind: str, session: str, strength: float, judged: list[tuple[bool, ActiveAssessment]]) -> str:
    every, apart = [found for _, found in judged], [found for held_out, found in judged if held_out]
    found = Counter(code for each in every for code in each.reasons)
    reasons = ", ".join(f"{code} {count}" for code, count in found.most_common(4))
    passed, held_out = (f"{sum(each.score >= PASS for each in some)} of {len(some)}" for some in (every, apart))
    return f"| {kind} | {session} | {strength:g} | {passed} | {held_out} | {reasons} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=50)
    parser.add_argument("--strengths", default="0,0.5,1")
    parser.add_argument("--held-out", type=int, default=4)
    parser.add_argument("--kinds", nargs="*", default=[])
    options = parser.parse_args()
    bench = Bench(cache_folder(), options.sequences, options.held_out)
    print(
        "| kind | session | strength | passes | of them held out | reasons (most frequent) |\n|---|---|---|---|---|---|"
    )
    for kind, session, strength, place in kinds(options.kinds, [float(each) for each in options.strengths.split(",")]):
        print(row(kind, session, strength, bench.judged(kind, session, strength, place)), flush=True)
    for name, times, scale in (("measuring", bench.measuring, 1), ("assessing", bench.assessing, 1000)):
        print(f"{name}: median {statistics.median(times) * scale:.1f} ms, most {max(times) * scale:.1f} ms")


if __name__ == "__main__":
    main()
