"""Judging: analysed presentations and a policy become verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from config.policy import Policy
from detectors.contract import Analysis, ModelVersion
from stream.evaluation.analysing import AnalysedPresentation, Unreadable
from stream.evaluation.picture_set import LeftOutFile, Presentation, PresentationLabel
from stream.pipeline.verdict.verdict import Verdict, VerdictKind, judge


@dataclass(frozen=True, slots=True)
class JudgedPresentation:
    """Presentation with its verdict; a verdict without a confidence is a non-response. `held`: a floor, a gate or
    the injection check of the policy keeps the verdict from LIVE, whatever the confidence."""

    presentation: Presentation
    verdict: Verdict
    sha256: str
    held: bool = False

    @property
    def is_bona_fide(self) -> bool:
        return self.presentation.label is PresentationLabel.BONA_FIDE


def judged(analysed: Iterable[AnalysedPresentation], policy: Policy) -> list[JudgedPresentation]:
    """Verdicts on all pictures that could be read."""
    return [
        JudgedPresentation(each.presentation, verdict, each.sha256, bool(verdict.held))
        for each in analysed
        if not isinstance(each.finding, Unreadable)
        for verdict in [judge(each.finding, policy)]
    ]


def unreadable(analysed: Iterable[AnalysedPresentation]) -> list[LeftOutFile]:
    """Files of the set that could not be read, with the operating system's reason."""
    return [
        LeftOutFile(each.presentation.name, f"can't be read ({each.finding.reason})")
        for each in analysed
        if isinstance(each.finding, Unreadable)
    ]


def models_of(analysed: Iterable[AnalysedPresentation]) -> tuple[ModelVersion, ...]:
    """Model files that took part in the analyses."""
    return next((each.finding.models for each in analysed if isinstance(each.finding, Analysis)), ())


def classified(presentations: Iterable[JudgedPresentation]) -> list[VerdictKind]:
    """Verdicts of presentations with a response."""
    return [each.verdict.kind for each in presentations if each.verdict.confidence is not None]


def confidences(presentations: Iterable[JudgedPresentation]) -> list[float]:
    """Confidences of presentations with a response, in the order given."""
    return [each.verdict.confidence for each in presentations if each.verdict.confidence is not None]


def reaches(confidence: float, held: bool) -> float:
    """Highest LIVE bound that a presentation passes: the confidence; none where a floor or gate holds the verdict,
    whose confidence is cut to the threshold wherever a policy has the threshold."""
    return -inf if held else confidence


def bounds_reached(presentations: Iterable[JudgedPresentation]) -> list[float]:
    """Highest LIVE bounds that presentations with a response pass, in the order given."""
    return [
        reaches(each.verdict.confidence, each.held) for each in presentations if each.verdict.confidence is not None
    ]


def bona_fide_of(presentations: Sequence[JudgedPresentation]) -> list[JudgedPresentation]:
    return [each for each in presentations if each.is_bona_fide]


def by_species(presentations: Sequence[JudgedPresentation]) -> dict[str, list[JudgedPresentation]]:
    """Attacks by PAI species, species by name."""
    found: dict[str, list[JudgedPresentation]] = {}
    for each in presentations:
        if not each.is_bona_fide:
            found.setdefault(each.presentation.species, []).append(each)
    return dict(sorted(found.items()))
