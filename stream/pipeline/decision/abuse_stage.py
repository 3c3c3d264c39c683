"""Abuse stage of the decide agent: one judged submission becomes an observation, is recorded and shown to the rules."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import orjson

from abuse import observation_codec
from abuse.event_time import iso8601
from abuse.flags.flags import Flag, FlagEvent
from abuse.ledger.ledger import Ledger, Snapshot, Switches
from abuse.links import link_codec
from abuse.links.reuse import ReuseSearch
from abuse.links.reuse_references import ReuseReferences
from abuse.links.reuse_result import NO_REUSE, ReuseResult
from abuse.observation import Finding, Observation
from abuse.rules.engine import AbuseEngine, Assessment, own_again
from abuse.subjects import correlation, subject_document
from abuse.submission_ref import SubmissionRef
from config.catalogues.error_codes import ErrorCode
from config.errors import Unavailable
from config.policy import Policy
from stream.events.message.messages import Detection, Refusal
from stream.pipeline.admission.admission import refusal
from stream.pipeline.verdict.reasons import species_of
from stream.pipeline.verdict.verdict import Verdict, spoof_bound
from stream.runtime import metrics
from stream.runtime.patience import RetryPolicy

#: Characters of the fingerprint that tell other content apart under the submission id it claims.
CLAIM_LENGTH = 12
#: For so long after a rule was switched off a worker may still enrol references that only the rule needs.
A_MOMENT_S, TENANTS_REMEMBERED = 1.0, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """Abuse findings of a submission: the decision's `abuse` object, flag events to store with the decision, and the
    refusal of a submission that was analysed and is refused all the same."""

    document: dict[str, Any] | None = None
    refusal: Refusal | None = None
    events: tuple[FlagEvent, ...] = ()


class SwitchMemory:
    """Memory of the switches that were read a moment ago, by tenant: of a busy tenant each submission reads them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str | None, tuple[Switches, float]] = OrderedDict()

    def get(self, tenant: str | None) -> Switches | None:
        switches, read_s = self._held.get(tenant, (None, 0.0))
        return switches if self._clock() - read_s < A_MOMENT_S else None

    def put(self, tenant: str | None, switches: Switches) -> None:
        self._held[tenant] = (switches, self._clock())
        self._held.move_to_end(tenant)
        if len(self._held) > TENANTS_REMEMBERED:
            self._held.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseStage:
    """Abuse stage. Waits while the abuse table is away."""

    ledger: Ledger
    engine: AbuseEngine
    reuse: ReuseSearch | None
    patience: RetryPolicy
    policy: Policy
    switches: SwitchMemory = field(default_factory=SwitchMemory)

    async def assess(self, detection: Detection, verdict: Verdict, *, observed: bool) -> Assessed:
        """Assessment of a judged submission, for the decide stage; recording an observation twice changes nothing.

        Without `observed`, or without a correlation id, nothing is recorded.
        """
        correlation_id = detection.ids.correlation_id
        if correlation_id is None:
            return Assessed()
        if not observed:
            subjects = (correlation(correlation_id), *detection.origin.subjects)
            known = await self.patience.until_available(self.ledger.read_heads, detection.ids.tenant, subjects)
            reminder = self.engine.reminder(known, detection.appended_at_ms)
            return Assessed(document=_document(reminder, detection.appended_at_ms, None))
        observation = observe(detection, correlation_id, verdict, self.policy)
        known, linked = await self._observed(observation, detection.references)
        assessment = self.engine.assess(observation, known, linked)
        return Assessed(
            document=_document(assessment, observation.at_ms, observation),
            refusal=None if assessment.hit is None else refusal(assessment.hit, observation.at_ms),
            events=assessment.events,
        )

    async def _observed(self, observation: Observation, references: ReuseReferences) -> tuple[Snapshot, ReuseResult]:
        """The observation's subjects, and the reuse found.

        A rule may have been switched off since the detection: references only that rule needs are kept no longer. Where
        the switches were read a moment ago, both are asked for at the same time; else one after the other.
        """
        told = self.switches.get(observation.tenant)
        if told is None:
            known = await self._observe(observation)
            return known, await self._reuse_result(observation, self._needed(references, known.switches))
        searched = self._needed(references, told)
        linked, known = await asyncio.gather(self._searched_once(observation, searched), self._observe(observation))
        needed = self._needed(references, known.switches)
        if linked is None or needed != searched:  # switched in that moment
            linked = await self._reuse_result(observation, needed)
        return known, linked

    async def _searched_once(self, observation: Observation, references: ReuseReferences) -> ReuseResult | None:
        """The reuse found; None where Redis is away, since a moment has passed when it is back."""
        try:
            return await self._found(observation, references)
        except Unavailable:
            return None

    async def _observe(self, observation: Observation) -> Snapshot:
        known = await self.patience.until_available(self.ledger.observe, observation)
        self.switches.put(observation.tenant, known.switches)
        return known

    def _needed(self, references: ReuseReferences, switches: Switches) -> ReuseReferences:
        return references.among(self.engine.active(switches))

    async def _reuse_result(self, observation: Observation, references: ReuseReferences) -> ReuseResult:
        return await self.patience.until_available(self._found, observation, references)

    async def _found(self, observation: Observation, references: ReuseReferences) -> ReuseResult:
        reuse = self.reuse
        if reuse is None:
            return NO_REUSE
        linked = await reuse.find_candidates(observation.tenant, _submission_ref(observation), references)
        if reuse.faces is not None and references.face is not None:
            if linked.compared is not None:
                outcome = "complete" if linked.compared.complete else "cut"
            else:
                outcome = "unknown_key" if references.face.model == reuse.faces.model else "other_model"
            metrics.FACE_COMPARISONS.labels(outcome=outcome).inc()
        return linked

    async def own_again(self, decision: bytes) -> list[FlagEvent]:
        """Flag events that the submission of a stored decision brought about, as stored: what was measured is gone, and
        they may not have been published. A round trip; for a record that is read again, after the sweep of the
        join."""
        observation = observation_codec.from_decision_bytes(decision)
        if observation is None:
            return []
        links = map(link_codec.from_document, orjson.loads(decision)["abuse"]["links"])
        linked = (correlation(end.correlation_id) for link in links for end in link.refs)
        subjects = tuple(dict.fromkeys((*observation.subjects, *linked)))
        history = partial(self.ledger.history, observation.tenant)
        histories = await self.patience.until_available(lambda: asyncio.gather(*map(history, subjects)))
        return own_again(histories, observation.submission_id)

    async def record(self, events: Sequence[FlagEvent]) -> list[FlagEvent]:
        """Flag events stored; returns those still to be published. One round trip, none for no events; a repeat returns
        the same."""
        return await self.patience.until_available(self.ledger.record, events) if events else []


def observe(detection: Detection, correlation_id: str, verdict: Verdict, policy: Policy) -> Observation:
    """Observation of a judged submission; other content under a used submission id gets an id of its own."""
    ids, finding = detection.ids, Finding(verdict.kind.lower())
    if verdict.error is not None:
        finding = Finding.UNANALYSED
    submission_id = ids.submission_id
    if verdict.error is ErrorCode.DUPLICATE_MISMATCH:
        finding = Finding.MISMATCH
        submission_id = f"{submission_id}~{detection.fingerprint[:CLAIM_LENGTH]}"
    attack = finding is Finding.SPOOF and verdict.confidence is not None
    return Observation(
        tenant=ids.tenant,
        correlation_id=correlation_id,
        submission_id=submission_id,
        session_id=detection.session_id,
        at_ms=detection.appended_at_ms,
        finding=finding,
        severity=severity_of(verdict.confidence or 0.0, policy) if attack else 0.0,
        species=species_of(verdict.reasons) if attack else "",
        origin=detection.origin,
    )


def _submission_ref(observation: Observation) -> SubmissionRef:
    return SubmissionRef(
        at_ms=observation.at_ms,
        submission_id=observation.submission_id,
        correlation_id=observation.correlation_id,
        session_id=observation.session_id,
        spoof=observation.finding is Finding.SPOOF,
    )


def severity_of(confidence: float, policy: Policy) -> float:
    """Severity of an attack in [0, 1]: the share of the way from the SPOOF bound down to confidence 0."""
    return round(min(max(1.0 - confidence / spoof_bound(policy), 0.0), 1.0), 2)


def is_about(decision: bytes, detection: Detection) -> bool:
    """Decision made for this very record, by its event time, and not for the same submission sent before: only then
    does the record publish flag events, so that a duplicate publishes none again.

    A decision that was not observed (a refusal at the gate) never published any: then this record publishes its own.
    """
    observation = observation_codec.from_decision_bytes(decision)
    return observation is None or observation.at_ms == detection.appended_at_ms


def _document(assessment: Assessment, at_ms: int, observation: Observation | None) -> dict[str, Any]:
    """Abuse object of the decision."""
    return {
        "is_abuse_detected": assessment.is_abuse_detected,
        "flags": [
            *(_flag(flag, at_ms) for flag in assessment.flags),
            # Without the lead's id: nothing would lead an erasure of the lead to the decisions of newcomers.
            *(_flag(flag, at_ms) | {"subject": None} for flag in assessment.shared),
        ],
        "ip_risk": assessment.ip_risk and asdict(assessment.ip_risk),
        "other_flagged_sessions": list(assessment.other_flagged_sessions),
        "face_comparison": assessment.compared and asdict(assessment.compared),
        "links": [link_codec.to_document(link) for link in assessment.links],
        "observation": observation and observation_codec.to_document(observation),
    }


def _flag(flag: Flag, at_ms: int) -> dict[str, Any]:
    refusal = flag.refusal_at(at_ms) if flag.enforced else None
    return {
        "flag_id": flag.flag_id,
        "kind": flag.kind,
        "subject": subject_document(flag.subject),
        "state": flag.state,
        "severity": flag.severity,
        "enforced": flag.enforced,
        "refuses_until": None if refusal is None else iso8601(refusal.until_ms),
    }
