"""Coverage-guided fuzzing of intake, by hand, for 60 seconds:

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install --require-hashes --no-deps -r requirements.lock
    /tmp/fuzz/bin/pip install atheris
    /tmp/fuzz/bin/python tests/fuzz/fuzz_event_decoder.py -max_total_time=60 -max_len=4096 [CORPUS_FOLDER]

A finding is any exception out of `read`, an answer that is none of its three types, an id outside its
alphabet, a message or reason that isn't ours, or a second reading that differs from the first. What comes out
as a rejection is carried on through the internal event and back.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed; it is no part of the lock file")

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["stream", "detectors.image_format"]):
    from config.limits.capture import ImageLimits
    from stream.events.message.messages import Detection, Poison, Record, Refusal, Rejected, Submission
    from stream.events.wire.dead_letter import DeadLetters
    from stream.events.wire.detection_codec import DetectionError, decode_detection, encode_detection
    from stream.pipeline.intake.intake import read

LIMITS = ImageLimits(max_bytes=2048)
SHAPES = {
    "submission_id": r"[!-~]{1,128}",
    "correlation_id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "tenant": r"[A-Za-z0-9._-]{1,64}",
    "session_id": r"[!-~]{1,256}",
    "resource_id": r"[!-~]{1,256}",
}
JSON_TYPE = ("content-type", b"application/json")
STRUCTURED_TYPE = ("content-type", b"application/cloudevents+json")
ENVELOPE = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"liveness.submission.v1"),
    ("ce_source", b"/fuzz"),
    ("ce_id", b"event-1"),
)
NAMES = ("ce_subject", "ce_correlationid", "ce_tenant", "ce_clientip", "ce_capturedat", "ce_type", "content-type")
#: Well-formed starts, so that the parsers behind them are reached at once; the noise goes where the mark is.
VALUES = (
    b"@",
    b'{"submission_id":"a","correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e","image":"@"}',
    b'{"submission_id":"a","correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e","image":"/9j/AAAA",@}',
    b'{"submission_id":"@","correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e","image":"/9j/AAAA"}',
    b'{"submission_id":"a","correlation_id":"0f8fad5b-d9cb-469f-a165-70867728950e","image":"/9j/","client_ip":"@"}',
    b'{"submission_id":"a","correlation_id":"@","image":"data:;base64,/9j/AAAA","tenant":"b"}',
    b'{"resourceId":"a","context":{"subject":{"biometrics":[{@}]}}}',
    b'{"specversion":"1.0","type":"liveness.submission.v1","source":"/f","id":"e","subject":"a","data":@}',
    b"\xff\xd8\xff@",
)
NAMED = (*ENVELOPE, ("ce_subject", b"a"), ("ce_correlationid", b"0f8fad5b-d9cb-469f-a165-70867728950e"))
HEADERS = ((), ENVELOPE, NAMED, (*NAMED, JSON_TYPE), (STRUCTURED_TYPE,))


def record_of(noise: bytes) -> Record:
    source = atheris.FuzzedDataProvider(noise)
    headers = source.PickValueInList(list(HEADERS))
    for _ in range(source.ConsumeIntInRange(0, 3)):
        headers = (*headers, (source.PickValueInList(list(NAMES)), source.ConsumeBytes(40)))
    key = source.ConsumeBytes(40) if source.ConsumeBool() else None
    value = source.PickValueInList(list(VALUES)).replace(b"@", source.ConsumeBytes(4096))
    return Record(topic="t", partition=0, offset=0, key=key, value=value, headers=headers, appended_at_ms=1)


def one_input(noise: bytes) -> None:
    record = record_of(noise)
    answer = read(record, LIMITS)
    if read(record, LIMITS) != answer:
        raise AssertionError("the second reading differs")
    if isinstance(answer, Poison):
        DeadLetters(topic="dead", max_bytes=15 * 1024 * 1024).poison(record, answer)
        return
    if not isinstance(answer, Submission | Rejected):
        raise AssertionError(f"an answer of an unknown type: {type(answer).__name__}")
    for name, shape in SHAPES.items():
        value = getattr(answer.ids, name)
        if value is not None and not re.fullmatch(shape, value, re.ASCII):
            raise AssertionError(f"{name} is outside its alphabet")
    if isinstance(answer, Rejected):
        carry_on(answer)


def carry_on(answer: Rejected) -> None:
    sent = Detection(
        ids=answer.ids,
        fingerprint=answer.fingerprint,
        appended_at_ms=answer.appended_at_ms,
        finding=Refusal(error=answer.error, message=answer.message),
    )
    encoded = encode_detection(sent)
    if decode_detection(encoded) != sent:
        raise AssertionError("the internal event came back different")
    try:
        decode_detection(encoded[: len(encoded) // 2])
    except DetectionError:
        return
    raise AssertionError("half an internal event was read")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
