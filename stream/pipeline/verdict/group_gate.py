"""The gate of detector groups: what other processes found may lower a verdict, and never raises one. Pure.

A reading below the group's `attack` makes the verdict SPOOF. One below its `least`, one that was not measured, and a
result that is missing or contradictory keep the verdict from LIVE. A good reading changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from config.limits.signals import GroupGate
from config.policy import Policy
from detectors.contract import Reading, ReadingStatus
from stream.events.message.findings import GroupFault, GroupResult
from stream.pipeline.verdict.advice import advice_for
from stream.pipeline.verdict.aggregation import WeighedSignal
from stream.pipeline.verdict.injection import LivenessFlag
from stream.pipeline.verdict.reasons import helpful
from stream.pipeline.verdict.verdict import BELOW_BOUND, Verdict, VerdictKind, by_flags, spoof_bound, with_confidence

_NOT_CONFIGURED = GroupGate(least=1.0)
#: The reason of ours whose advice fits what a group holds, by whether the group takes it for an attack.
_ADVISED = {True: "attack_suspected", False: str(GroupFault.MISSING)}


def with_groups(verdict: Verdict, results: Sequence[GroupResult], policy: Policy, *, encrypted: bool) -> Verdict:
    """Verdict with the groups' readings among its signals, lowered by these; called after everything else that shapes
    the verdict. A verdict with an error stays as it is."""
    if not results or verdict.confidence is None:
        return verdict
    gates = [(result, policy.groups.get(result.group, _NOT_CONFIGURED)) for result in results]
    shown = [
        WeighedSignal(reading=each, weight=0.0, least=gate.least)
        for result, gate in gates
        for each in _least_live(result)
    ]
    verdict = replace(verdict, signals=(*verdict.signals, *shown))
    found = dict(held for result, gate in gates for held in _held(result, gate))
    return _lowered(verdict, found, policy, encrypted=encrypted) if found else verdict


def _lowered(verdict: Verdict, found: dict[str, bool], policy: Policy, *, encrypted: bool) -> Verdict:
    """Verdict held by these reasons; one that maps to True takes the presentation for an attack. The advice is on what
    the groups hold, then on our own reasons where these hold the verdict as well."""
    ours = () if verdict.kind is VerdictKind.LIVE else helpful(verdict.reasons)
    held = tuple(sorted(found, key=lambda reason: not found[reason]))
    reasons = tuple(dict.fromkeys((*held, *verdict.reasons)))
    verdict = replace(
        verdict,
        face=LivenessFlag.NOT_LIVE,
        held=(*held, *verdict.held),
        reasons=reasons,
        by_groups=True,
    )
    if any(found.values()):
        lowers, most = verdict.kind is not VerdictKind.SPOOF, spoof_bound(policy) - BELOW_BOUND
    else:
        lowers, most = verdict.kind is VerdictKind.LIVE, policy.parameters.live_threshold
    if lowers:
        verdict = with_confidence(verdict, min(verdict.confidence or 0.0, most), policy)
    verdict = by_flags(verdict, policy) if encrypted else verdict
    return replace(verdict, advice=advice_for([*(_ADVISED[found[reason]] for reason in held), *ours]))


def _held(result: GroupResult, gate: GroupGate) -> Iterator[tuple[str, bool]]:
    if result.fault is not None:
        yield str(result.fault), False
    # An attack on any frame comes last, so that it counts where two frames give one reason.
    for reading in sorted(result.readings, key=lambda each: _is_attack(each, gate)):
        if reading.status is not ReadingStatus.SCORED or reading.liveness < gate.least:
            yield reading.reason or f"{reading.name}_low", _is_attack(reading, gate)


def _is_attack(reading: Reading, gate: GroupGate) -> bool:
    return reading.status is ReadingStatus.SCORED and reading.liveness < gate.attack


def _least_live(result: GroupResult) -> list[Reading]:
    """Readings to show, one a name: of several frames the least live that was scored."""
    least: dict[str, Reading] = {}
    for reading in sorted(result.readings, key=lambda each: (each.status is not ReadingStatus.SCORED, each.liveness)):
        least.setdefault(reading.name, reading)
    return list(least.values())
