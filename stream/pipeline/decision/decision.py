"""Decision event: one shape on the topic, in `check --json` and in `demo --json`."""

from __future__ import annotations

from typing import Any

import orjson

from abuse.event_time import iso8601
from config.policy import Policy
from stream.events.message.ids import request_id
from stream.events.message.messages import Detection
from stream.pipeline.capture.attestation import finding_on
from stream.pipeline.capture.session_images import image_on
from stream.pipeline.capture.verification import verification
from stream.pipeline.verdict.counterfactuals import counterfactual
from stream.pipeline.verdict.injection import InjectionVerdict
from stream.pipeline.verdict.interpretation import interpretation
from stream.pipeline.verdict.liveness_result import liveness_result
from stream.pipeline.verdict.verdict import Verdict

ELAPSED_DIGITS = 2


def decision_event(
    detection: Detection, verdict: Verdict, policy: Policy, now_ms: int, abuse: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Decision as published, plain values in the documented order; `abuse` is None for a submission not observed."""
    ids = detection.ids
    error = None if verdict.error is None else {"code": str(verdict.error), "message": verdict.message}
    return {
        **_plain(ids) | {"session_id": detection.session_id},
        "request_id": request_id(ids, detection.fingerprint),
        "timestamp": iso8601(now_ms),
        "status": "success" if error is None else "error",
        "result": _result(verdict, policy, variant="flags" if detection.encrypted else "score")
        | _plain(liveness_result(detection, verdict))
        | _of_session(detection, policy),
        "error": error,
        "abuse": abuse,
        "policy": {"name": policy.name, "hash": policy.sha256},
        "models": _models(detection),
        "elapsed_ms": _elapsed(detection, now_ms),
    }


def encode(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event)


def _plain(flat: Any) -> dict[str, Any]:
    """Fields of a dataclass by name, as they are. `asdict` copies every value and takes several times as long."""
    return {name: getattr(flat, name) for name in flat.__dataclass_fields__}


def _result(verdict: Verdict, policy: Policy, *, variant: str) -> dict[str, Any]:
    return {
        "verdict": str(verdict.kind),
        "confidence": verdict.confidence,
        "threshold": policy.parameters.live_threshold,
        "face_detected": verdict.face_detected,
        "signals": [
            {
                "name": signal.reading.name,
                "label": signal.reading.label,
                "score": signal.score,
                "weight": signal.weight,
                "passed": signal.passed,
                "detail": signal.reading.detail,
            }
            for signal in verdict.signals
        ],
        "score": verdict.score,
        "outcome": str(verdict.outcome),
        "reasons": list(verdict.reasons),
        "advice": [_plain(advice) for advice in verdict.advice],
        "interpretation": interpretation(verdict),
        "counterfactual": _counterfactual(verdict, policy),
        "variant": variant,
        "face_liveness": str(verdict.face),
        "injection": _injection(verdict.injection),
        "client": {"outcome": str(verdict.outcome), "advice": [_plain(advice) for advice in verdict.advice]},
    }


def _of_session(detection: Detection, policy: Policy) -> dict[str, Any]:
    """Results of what only a session has; each null without one."""
    found = {
        "capture": finding_on(detection),
        "verification": verification(detection, policy),
        "session_image": image_on(detection),
    }
    return {name: None if each is None else _plain(each) for name, each in found.items()}


def _injection(injection: InjectionVerdict) -> dict[str, Any]:
    return {
        "verdict": str(injection.flag),
        "score": injection.score,
        "indications": [
            {
                "code": each.indication.code,
                "label": each.label,
                "weight": each.weight,
                "detail": each.indication.detail,
            }
            for each in injection.indications
        ],
    }


def _counterfactual(verdict: Verdict, policy: Policy) -> dict[str, Any] | None:
    found = counterfactual(verdict, policy)
    if found is None:
        return None
    changes = tuple(_plain(change) for change in found.changes)
    return {"verdict": str(found.verdict), "changes": changes, "message": found.message}


def _models(detection: Detection) -> list[dict[str, str]]:
    found = detection.finding if isinstance(detection.finding, tuple) else ()
    ours = [model for analysis in found for model in analysis.models]
    theirs = [model for result in detection.groups for model in result.models]
    return [_plain(model) for model in dict.fromkeys((*ours, *theirs))]


def _elapsed(detection: Detection, now_ms: int) -> dict[str, float]:
    """Milliseconds by stage; `queue` is the wait on the topic, `total` from the broker's append to now."""
    steps: dict[str, float] = {"queue": detection.queue_ms}
    if isinstance(detection.finding, tuple):
        for name, spent_ms in (step for analysis in detection.finding for step in analysis.elapsed_ms.items()):
            steps[name] = steps.get(name, 0.0) + spent_ms
        steps["detection"] = detection.detection_ms
    steps["total"] = float(max(now_ms - detection.appended_at_ms, 0))
    return {name: round(value, ELAPSED_DIGITS) for name, value in steps.items()}
