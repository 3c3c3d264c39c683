"""Verdict on a detection by the terms of its session: the check that was asked for, passive or active. Pure."""

from __future__ import annotations

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.contract import Analysis
from stream.events.message.messages import Detection, Refusal
from stream.events.message.session_terms import LivenessMode
from stream.pipeline.capture.attestation import finding_on
from stream.pipeline.verdict.active_verdict import active_verdict
from stream.pipeline.verdict.group_gate import with_groups
from stream.pipeline.verdict.injection import injection_verdict
from stream.pipeline.verdict.verdict import Verdict, by_flags, undecided, verdict_on

#: Note on a picture in which the light is too strong (`detectors.framing`).
TOO_BRIGHT = "too_bright"
#: Reason that tells the client that the session asks for the challenges now.
ACTIVE_STEP = "active_step"


def session_verdict(
    detection: Detection,
    finding: tuple[Analysis, ...] | Refusal,
    policy: Policy,
    *,
    face_bound: float | None = None,
    shown_before: bool = False,
) -> Verdict:
    """Verdict on a finding, for the decide stage. `finding` is the detection's own, or a refusal in its place.
    `face_bound` and `shown_before`: as in `active_verdict`."""
    verdict = _by_terms(detection, finding, policy, face_bound, shown_before)
    return with_groups(verdict, detection.groups, policy, encrypted=detection.encrypted)


def _by_terms(
    detection: Detection,
    finding: tuple[Analysis, ...] | Refusal,
    policy: Policy,
    face_bound: float | None,
    shown_before: bool,
) -> Verdict:
    terms, capture, encrypted = detection.session, finding_on(detection), detection.encrypted
    attested_only = terms is not None and terms.attestation_required
    if terms is None or isinstance(finding, Refusal):
        return verdict_on(finding, policy, encrypted=encrypted, capture=capture, attested_only=attested_only)
    if terms.active:
        injection = injection_verdict(finding, policy, capture, attested_only=attested_only)
        verdict = active_verdict(detection, policy, injection, face_bound=face_bound, shown_before=shown_before)
        return by_flags(verdict, policy) if encrypted else verdict
    if any(each.error is None and TOO_BRIGHT in each.notes for each in finding):
        notes = (ACTIVE_STEP, TOO_BRIGHT) if terms.mode is LivenessMode.PASSIVE_ACTIVE else (TOO_BRIGHT,)
        return undecided(ErrorCode.ENVIRONMENT_NOT_SUPPORTED, None, policy, face_detected=True, notes=notes)
    return verdict_on(finding, policy, encrypted=encrypted, capture=capture, attested_only=attested_only)
