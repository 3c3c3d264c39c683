"""Decision event: documented shape and order, published schema, request ids that repeat for a duplicate only."""

from __future__ import annotations

import re
from dataclasses import replace

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors.catalogue import SIGNAL_LABELS
from stream.events.message.ids import SubmissionIds, request_id
from stream.events.message.messages import AlreadyDecided, Refusal
from stream.events.message.session_terms import LivenessMode, SessionTerms
from stream.pipeline.decision.decision import decision_event, encode
from stream.pipeline.verdict.verdict import ActiveScore, verdict_on
from tests.unit.stream.builders import APPENDED_AT_MS, FINGERPRINT, GUID, SECRET, analysis, detection, ids
from tests.unit.stream.json_schema import DECISION_SCHEMA, changed, violations

POLICY = Policy()
NOW_MS = APPENDED_AT_MS + 120

KEYS = [
    *("submission_id", "correlation_id", "tenant", "session_id", "resource_id", "request_id", "timestamp"),
    *("status", "result", "error", "abuse", "policy", "models", "elapsed_ms"),
]
OF_SESSION = ["capture", "verification", "session_image"]
RESULT_KEYS = [
    *("verdict", "confidence", "threshold", "face_detected", "signals"),
    *("score", "outcome", "reasons", "advice", "interpretation", "counterfactual"),
    *("variant", "face_liveness", "injection", "client"),
    *("liveness_mode", "liveness_score", "liveness_passed", "liveness_threshold", "challenges_completed"),
    *("frames_captured", "pose_variation_score", "expression_variation_score"),
    *OF_SESSION,
]
SIGNAL_KEYS = ["name", "label", "score", "weight", "passed", "detail"]

FINDINGS = {
    "live": analysis(0.95),
    "inconclusive": analysis(0.58, notes=("bystander",)),
    "spoof": analysis(0.2),
    "the lowest": analysis(0.0),
    "the highest": analysis(1.0),
    "failed signals": analysis({"sharpness": 0.9, "lbp_texture": None}),
    "nothing measured": analysis({}),
    "no face": analysis({}, error=ErrorCode.NO_FACE_DETECTED, message="no face was found", face_detected=False),
    **{f"refused {code}": Refusal(error=code, message="why") for code in ErrorCode},
}


def event_of(finding=None, *, policy=POLICY, now_ms=NOW_MS, **changes):
    found = detection(finding, **changes)
    assert not isinstance(found.finding, AlreadyDecided)
    return orjson.loads(encode(decision_event(found, verdict_on(found.finding, policy), policy, now_ms)))


@pytest.mark.parametrize("name", FINDINGS)
def test_documented_order_and_schema(name):
    event = event_of(FINDINGS[name])
    assert (list(event), list(event["result"])) == (KEYS, RESULT_KEYS)
    assert [list(signal) for signal in event["result"]["signals"]] == [SIGNAL_KEYS] * 8
    assert violations(event, DECISION_SCHEMA) == []
    assert (event["status"] == "error") is (event["error"] is not None)


def test_the_whole_event():
    found = analysis(dict.fromkeys(SIGNAL_LABELS, 0.9))
    measured = {"score": 0.9, "passed": True, "detail": "measured"}
    event = event_of(found, ids=ids(tenant="bank-1", session_id="session-1", resource_id="resource-1"))
    assert event == {
        "submission_id": "sub-1",
        "correlation_id": GUID,
        "tenant": "bank-1",
        "session_id": "session-1",
        "resource_id": "resource-1",
        "request_id": event["request_id"],
        "timestamp": "2023-11-14T22:13:20.120Z",
        "status": "success",
        "result": {
            "verdict": "LIVE",
            "confidence": 0.9,
            "threshold": 0.58,
            "face_detected": True,
            "signals": [
                {"name": name, "label": label, "weight": getattr(POLICY.weights, name), **measured}
                for name, label in SIGNAL_LABELS.items()
            ],
            "score": 95,
            "outcome": "SUCCESS",
            "reasons": [],
            "advice": [],
            "interpretation": "Strong LIVE: multiple signals confirm a real face.",
            "counterfactual": event["result"]["counterfactual"],
            "variant": "score",
            "face_liveness": "Live",
            "injection": {"verdict": "Live", "score": 1.0, "indications": []},
            "client": {"outcome": "SUCCESS", "advice": []},
            "liveness_mode": "passive",
            "liveness_score": 95.0,
            "liveness_passed": True,
            "liveness_threshold": 75,
            "challenges_completed": [],
            "frames_captured": 1,
            "pose_variation_score": 0.0,
            "expression_variation_score": 0.0,
            "capture": None,
            "verification": None,
            "session_image": None,
        },
        "error": None,
        "abuse": None,
        "policy": {"name": "signals", "hash": POLICY.sha256},
        "models": [{"name": "mesh", "version": "1", "sha256": "ab" * 32}],
        "elapsed_ms": {"queue": 4.0, **analysis().elapsed_ms, "detection": 12.5, "total": 120.0},
    }


TERMS = SessionTerms(
    session_id="session-1", mode=LivenessMode.PASSIVE, active=False, threshold=90, attempt=1, attempts_allowed=1
)


@pytest.mark.parametrize(("liveness", "passed"), [(0.95, True), (0.75, False), (0.2, False)])
def test_threshold_of_the_session(liveness, passed):
    """A LIVE verdict passes a session only with the score that the session asks for."""
    result = event_of(analysis(liveness), session=TERMS)["result"]
    assert (result["liveness_threshold"], result["liveness_passed"]) == (90, passed)
    assert result["liveness_score"] == result["score"]


def test_result_of_an_active_check():
    found = detection((analysis(0.9),) * 8, session=replace(TERMS, mode=LivenessMode.ACTIVE, active=True, threshold=60))
    active = ActiveScore(score=81.5, pose_variation=88.0, expression_variation=75.0, completed=("smile", "head_left"))
    verdict = replace(verdict_on(found.finding, POLICY), active=active)
    result = orjson.loads(encode(decision_event(found, verdict, POLICY, NOW_MS)))["result"]
    assert {name: result[name] for name in RESULT_KEYS[-len(OF_SESSION) - 8 : -len(OF_SESSION)]} == {
        "liveness_mode": "active",
        "liveness_score": 81.5,
        "liveness_passed": True,
        "liveness_threshold": 60,
        "challenges_completed": ["smile", "head_left"],
        "frames_captured": 8,
        "pose_variation_score": 88.0,
        "expression_variation_score": 75.0,
    }


def test_result_beside_error():
    event = event_of(Refusal(error=ErrorCode.NO_FACE_DETECTED, message="no face was found in the image"))
    assert event["error"] == {"code": "NO_FACE_DETECTED", "message": "no face was found in the image"}
    result = event["result"]
    assert (result["verdict"], result["score"], result["outcome"]) == ("INCONCLUSIVE", 0, "ERROR")
    assert (result["confidence"], event["models"], list(event["elapsed_ms"])) == (None, [], ["queue", "total"])
    assert [signal["name"] for signal in result["signals"]] == list(SIGNAL_LABELS)


def test_clock_behind_broker():
    assert event_of(now_ms=APPENDED_AT_MS - 5000)["elapsed_ms"]["total"] == 0.0


def test_request_id_of_submission():
    made = request_id(ids(), FINGERPRINT)
    assert re.fullmatch(r"lv_[0-9a-f]{16}", made)
    assert made == request_id(ids(session_id="x", correlation_id=None), FINGERPRINT)
    others = [ids(submission_id="sub-2"), ids(tenant="bank-1"), SubmissionIds(submission_id="1", tenant="sub-")]
    assert len({made, request_id(ids(), "f" * 32), *(request_id(other, FINGERPRINT) for other in others)}) == 5


BROKEN = [
    *[((key,), ...) for key in KEYS],
    *[(("result", key), ...) for key in RESULT_KEYS],
    *[(("result", "signals", 0, key), ...) for key in SIGNAL_KEYS],
    *((("extra",), 1), (("result", "extra"), 1)),
    *((("submission_id",), None), (("correlation_id",), "user-1"), (("request_id",), "lv_0")),
    *((("timestamp",), "2026-01-02T03:04:05+00:00"), (("status",), "error")),
    *((("result", "verdict"), "SPOOF"), (("result", "outcome"), "REVIEW")),
    *((("result", "score"), value) for value in (74, 75.5, True)),
    *((("result", "confidence"), value) for value in (None, 1.1)),
    *((("result", "face_detected"), 1), (("result", "signals"), []), (("result", "advice"), [{"code": "x"}])),
    *((("error",), {"code": "INVALID_REQUEST", "message": "x"}), (("policy", "hash"), SECRET)),
    *((("models", 0, "sha256"), "AB" * 32), (("elapsed_ms", "mesh"), -1)),
]


def test_schema_rejects_other_decisions():
    event = event_of(analysis(0.95))
    assert [row for row in BROKEN if not violations(changed(event, *row), DECISION_SCHEMA)] == []


def test_schema_knows_error_codes():
    assert DECISION_SCHEMA["properties"]["error"]["properties"]["code"]["enum"] == [str(code) for code in ErrorCode]
