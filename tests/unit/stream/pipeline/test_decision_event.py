"""The decision event: documented shape and order, published schema, ids that repeat for a duplicate only."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from config.error_codes import ErrorCode
from config.policy import Policy
from detectors.catalogue import SIGNAL_LABELS
from stream.events.ids import SubmissionIds, request_id
from stream.events.messages import AlreadyDecided, Refusal
from stream.pipeline.decision import decision_event, encode
from stream.pipeline.verdict import judge, verdict_on
from tests.unit.stream.builders import APPENDED_AT_MS, FINGERPRINT, GUID, SECRET, analysis, detection, ids
from tests.unit.stream.json_schema import violations

ROOT = Path(__file__).resolve().parents[4]
SCHEMA = orjson.loads((ROOT / "docs/schemas/decision.v1.json").read_bytes())
POLICY = Policy()
NOW_MS = APPENDED_AT_MS + 120

KEYS = [
    *("submission_id", "correlation_id", "tenant", "session_id", "resource_id", "request_id", "timestamp"),
    *("status", "result", "error", "abuse", "policy", "models", "elapsed_ms"),
]
RESULT_KEYS = [
    *("verdict", "confidence", "threshold", "face_detected", "signals"),
    *("score", "outcome", "reasons", "advice"),
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
def test_every_decision_keeps_the_documented_order_and_the_schema(name):
    event = event_of(FINDINGS[name])
    assert list(event) == KEYS
    assert list(event["result"]) == RESULT_KEYS
    assert [list(signal) for signal in event["result"]["signals"]] == [SIGNAL_KEYS] * 8
    assert violations(event, SCHEMA) == []
    assert (event["status"] == "error") is (event["error"] is not None)


def test_the_whole_event():
    found = analysis(dict.fromkeys(SIGNAL_LABELS, 0.9))
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
                {
                    "name": name,
                    "label": label,
                    "score": 0.9,
                    "weight": getattr(POLICY.weights, name),
                    "passed": True,
                    "detail": "measured",
                }
                for name, label in SIGNAL_LABELS.items()
            ],
            "score": 95,
            "outcome": "SUCCESS",
            "reasons": [],
            "advice": [],
        },
        "error": None,
        "abuse": None,
        "policy": {"name": "default", "hash": POLICY.sha256},
        "models": [{"name": "mesh", "version": "1", "sha256": "ab" * 32}],
        "elapsed_ms": {
            "queue": 4.0,
            "gate": 0.1,
            "decode": 2.0,
            "mesh": 3.0,
            "framing": 0.1,
            "signals": 1.5,
            "detection": 12.5,
            "total": 120.0,
        },
    }


def test_an_error_still_has_a_result():
    event = event_of(Refusal(error=ErrorCode.NO_FACE_DETECTED, message="no face was found in the image"))
    assert event["status"] == "error"
    assert event["error"] == {"code": "NO_FACE_DETECTED", "message": "no face was found in the image"}
    result = event["result"]
    assert (result["verdict"], result["score"], result["outcome"]) == ("INCONCLUSIVE", 0, "ERROR")
    assert result["confidence"] is None
    assert [signal["name"] for signal in result["signals"]] == list(SIGNAL_LABELS)
    assert event["models"] == []
    assert list(event["elapsed_ms"]) == ["queue", "total"]


def test_the_weights_of_a_decision_sum_to_one():
    weights = [signal["weight"] for signal in event_of()["result"]["signals"]]
    assert sum(weights) == pytest.approx(1.0)


def test_a_worker_s_clock_behind_the_broker_s_gives_no_negative_time():
    assert event_of(now_ms=APPENDED_AT_MS - 5000)["elapsed_ms"]["total"] == 0.0


def test_the_same_input_and_policy_give_the_same_bytes():
    found = detection()
    verdict = judge(analysis(), POLICY)
    once, again = (encode(decision_event(found, verdict, Policy(), NOW_MS)) for _ in range(2))
    assert once == again


def test_a_request_id_is_derived_from_the_submission():
    made = request_id(ids(), FINGERPRINT)
    assert re.fullmatch(r"lv_[0-9a-f]{16}", made)
    assert made == request_id(ids(session_id="x", correlation_id=None), FINGERPRINT)
    others = [
        request_id(ids(submission_id="sub-2"), FINGERPRINT),
        request_id(ids(tenant="bank-1"), FINGERPRINT),
        request_id(ids(), "f" * 32),
        request_id(SubmissionIds(submission_id="1", tenant="sub-"), FINGERPRINT),
    ]
    assert len({made, *others}) == 5


def test_a_request_id_is_the_same_in_another_process():
    code = (
        "from stream.pipeline.decision import request_id; from stream.events.messages import SubmissionIds as I;"
        f"print(request_id(I(submission_id='sub-1'), {FINGERPRINT!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == request_id(ids(), FINGERPRINT)


def broken(path, value):
    event = copy.deepcopy(event_of(analysis(0.95)))
    target = event
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return event


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[((key,), ...) for key in KEYS],
        *[(("result", key), ...) for key in RESULT_KEYS],
        *[(("result", "signals", 0, key), ...) for key in SIGNAL_KEYS],
        (("extra",), 1),
        (("result", "extra"), 1),
        (("submission_id",), None),
        (("correlation_id",), "user-1"),
        (("request_id",), "lv_0"),
        (("timestamp",), "2026-01-02T03:04:05+00:00"),
        (("status",), "error"),
        (("result", "verdict"), "SPOOF"),
        (("result", "outcome"), "REVIEW"),
        (("result", "score"), 74),
        (("result", "score"), 75.5),
        (("result", "score"), True),
        (("result", "confidence"), None),
        (("result", "confidence"), 1.1),
        (("result", "face_detected"), 1),
        (("result", "signals"), []),
        (("result", "advice"), [{"code": "x"}]),
        (("error",), {"code": "INVALID_REQUEST", "message": "x"}),
        (("policy", "hash"), SECRET),
        (("models", 0, "sha256"), "AB" * 32),
        (("elapsed_ms", "mesh"), -1),
    ],
)
def test_the_schema_refuses_what_is_no_decision(path, value):
    assert violations(broken(path, value), SCHEMA)


def test_the_schema_knows_every_error_code():
    assert SCHEMA["properties"]["error"]["properties"]["code"]["enum"] == [str(code) for code in ErrorCode]


def test_a_signal_is_published_as_it_was_judged():
    values = dict.fromkeys(SIGNAL_LABELS, 0.49996)
    for signal in event_of(analysis(values))["result"]["signals"]:
        assert (signal["score"], signal["passed"]) == (0.5, True)
