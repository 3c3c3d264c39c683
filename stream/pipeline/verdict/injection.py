"""Injection verdict: was the picture put into the capture pipeline instead of captured? Apart from the verdict on the
presentation. Pure.

The weights of the indications of all frames, each code once, are added up: from `not_live` on the flag is Not Live,
from `attack` on an injection attack. Without a finding the flag is Live: metadata prove nothing about a capture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from config.catalogues.injection import INDICATIONS, UNCHECKED, WEAKEST_REASON
from config.policy import Policy
from detectors.contract import Analysis, Indication
from stream.events.message.findings import CaptureFinding
from stream.pipeline.capture.attestation import UNATTESTED, capture_indications

SCORE_DIGITS = 2


class LivenessFlag(StrEnum):
    """Flag of the two-flag variant, for the face and for the injection."""

    LIVE = "Live"
    NOT_LIVE = "Not Live"
    ERROR = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedIndication:
    """Indication with its weight under the policy, as a decision shows it."""

    indication: Indication
    weight: float

    @property
    def label(self) -> str:
        return INDICATIONS[self.indication.code].label


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionVerdict:
    """Verdict on the way of a picture. `score` is in [0, 1]: 1 without any indication, 0 where the flag is Not Live;
    `is_attack` where the indications leave no doubt."""

    flag: LivenessFlag = LivenessFlag.ERROR
    score: float = 0.0
    indications: tuple[WeighedIndication, ...] = ()
    is_attack: bool = False

    @property
    def held_by(self) -> tuple[str, ...]:
        """Reasons why no verdict is LIVE: codes of the indications that count, heaviest first; none for Live."""
        if self.flag is LivenessFlag.ERROR:
            return (UNCHECKED,)
        if self.flag is LivenessFlag.LIVE:
            return ()
        return tuple(each.indication.code for each in self.indications if each.weight >= WEAKEST_REASON)


#: Nothing was checked.
NOT_CHECKED = InjectionVerdict()
#: Where a policy switches the check off: the flag's documented default.
SWITCHED_OFF = InjectionVerdict(flag=LivenessFlag.LIVE, score=1.0)


def injection_verdict(
    analyses: Iterable[Analysis], policy: Policy, capture: CaptureFinding | None = None, *, attested_only: bool = False
) -> InjectionVerdict:
    """Verdict on a submission by the indications of all its frames, and by what was found of its capture.

    `attested_only`: the session asks for an attested capture, so that any other is Not Live, whatever the policy's
    weights and also where the policy switches the check off.
    """
    weights: dict[str, float] = policy.injection.weights.model_dump()
    found = {each.code: each for analysis in reversed([*analyses]) for each in reversed(analysis.indications)}
    found |= {each.code: each for each in capture_indications(capture)}
    if attested_only:
        weights |= {code: max(weights[code], policy.injection.not_live) for code in UNATTESTED}
    if not policy.injection.active:
        found = {code: each for code, each in found.items() if attested_only and code in UNATTESTED}
        if not found:
            return SWITCHED_OFF
    weighed = [WeighedIndication(indication=each, weight=weights[each.code]) for each in found.values()]
    indications = tuple(sorted(weighed, key=lambda each: (-each.weight, each.indication.code)))
    total = round(sum(each.weight for each in indications), SCORE_DIGITS)
    if total >= policy.injection.not_live:
        is_attack = total >= policy.injection.attack
        return InjectionVerdict(flag=LivenessFlag.NOT_LIVE, indications=indications, is_attack=is_attack)
    flag = LivenessFlag.ERROR if UNCHECKED in found else LivenessFlag.LIVE
    score = round(1 - total / policy.injection.not_live, SCORE_DIGITS)
    return InjectionVerdict(flag=flag, score=score, indications=indications)
