"""Passes and reasons of active liveness on rendered sequences: genuine ones and every attack, by kind and strength.

    python tests/bench/active_liveness.py [--sequences 50] [--strengths 0,0.5,1] [--held-out 8] [--kinds NAME ...]

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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.cache import cache_folder
from config.catalogues.challenges import CHALLENGES, COLOURS
from config.limits.active import ActivePolicy
from config.policy import Policy
from detectors.active.assessed import ActiveAssessment, AssessedFrame
from detectors.active.assessment import assess
from detectors.analysis import FaceAnalyser
from detectors.contract import Template
from detectors.template import TemplateSource
from detectors.template.port import distance_between
from tests.sequences import ATTACKS, NEED_LIGHT, TWO_PEOPLE, RenderedSequence, genuine, sources

#: Default threshold of a pass.
PASS, COLOUR_MS, COLOURS_SHOWN = 75, 450, 6
SESSIONS = ("movements", "light")
#: Seeds from here on were not looked at when the thresholds were set.
SEED = 70_000
#: Attacks on the order of movements, which a session of one movement doesn't have.
NEED_MOVEMENTS = frozenset({"wrong_order"})


@dataclass(frozen=True)
class Judged:
    """Assessment of a sequence, and whether its photograph was held out."""

    held_out: bool
    assessment: ActiveAssessment

    @property
    def passed(self) -> bool:
        return self.assessment.score >= PASS


class Bench:
    """Analyser, photographs and clocks of a run."""

    def __init__(self, cache: Path, sequences: int, held_out: int) -> None:
        self.analyser = FaceAnalyser(Policy(), template=TemplateSource(manifest=None, cache=cache))
        self.photos = list(sources())
        self.measuring: list[float] = []
        self.assessing: list[float] = []
        self._sequences, self._held_out = sequences, held_out

    def judged(self, kind: str, session: str, strength: float, place: int) -> list[Judged]:
        """Assessments of so many sequences of one kind (`genuine` or an attack), session and strength; each place in
        the list of strengths goes on with other photographs and seeds."""
        numbers = range(place * self._sequences, (place + 1) * self._sequences)
        first_held_out = len(self.photos) - self._held_out
        return [
            Judged(
                number % len(self.photos) >= first_held_out,
                self._judge(self.rendered(kind, session, strength, number)),
            )
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
        frames = self._frames(sequence)
        asked = tuple(name for name in sequence.challenges if name in CHALLENGES)
        started = time.perf_counter()
        found = assess(frames, asked, sequence.colours, COLOUR_MS, ActivePolicy())  # type: ignore[arg-type]  # names
        self.assessing.append(time.perf_counter() - started)
        return found

    def _frames(self, sequence: RenderedSequence) -> list[AssessedFrame]:
        made: list[AssessedFrame] = []
        first: Template | None = None
        for frame in sequence.frames:
            analysis = self.analyser.analyse(frame.image, measured=True)
            first = first or analysis.template
            self.measuring.append(analysis.elapsed_ms.get("measures", 0.0))
            made.append(
                AssessedFrame(
                    challenge=frame.challenge,  # type: ignore[arg-type]  # a name of the catalogue
                    at_ms=frame.at_ms,
                    colour=frame.colour,
                    measures=analysis.measures,
                    face_distance=self._distance(first, analysis.template),
                    pixels=analysis.picture and analysis.picture.pixels_sha256,
                )
            )
        return made

    def _distance(self, first: Template | None, other: Template | None) -> float | None:
        if first is None or other is None or self.analyser.template is None:
            return None
        spec = self.analyser.template.spec
        vectors = (np.frombuffer(each.vector, "<f4") for each in (first, other))
        return distance_between(*vectors, spec.distance) / (spec.genuine_threshold or 1.0)


def kinds(named: list[str], strengths: list[float]) -> Iterator[tuple[str, str, float, int]]:
    """Kind, session, strength and the strength's place, of every row of the table."""
    for kind in named or ["genuine", *ATTACKS]:
        for session in SESSIONS:
            if not ((session == "movements" and kind in NEED_LIGHT) or (session == "light" and kind in NEED_MOVEMENTS)):
                listed = [1.0] if kind == "genuine" else strengths
                yield from ((kind, session, strength, place) for place, strength in enumerate(listed))


def row(kind: str, session: str, strength: float, judged: list[Judged]) -> str:
    apart = [each for each in judged if each.held_out]
    found = Counter(code for each in judged for code in each.assessment.reasons)
    reasons = ", ".join(f"{code} {count}" for code, count in found.most_common(4))
    passed, held_out = (f"{sum(each.passed for each in some)} of {len(some)}" for some in (judged, apart))
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
