"""Hash keys are rotated worker by worker: no face is overlooked on the way, and a worker that was forgotten is seen and
costs no decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from stream.events.message.messages import Output
from stream.events.wire.detection_codec import decode_detection
from stream.runtime import metrics
from tests.unit.stream.builders import APPENDED_AT_MS, analysis
from tests.unit.stream.fakes import WEEK_MS, Pipeline
from tests.unit.stream.likenesses import face
from tests.unit.stream.pipeline.abuse_cases import abuse_of, event_of, sent

HOUR_S = 3600
SINCE_S = 2 * HOUR_S
OLD = HashKey(id="k1", secret=b"s" * 32)
NEW = HashKey(id="k2", secret=b"t" * 32, since_ms=APPENDED_AT_MS + SINCE_S * 1000)
BEFORE, AFTER = (OLD,), (OLD, NEW)
Keys = tuple[HashKey, ...]


class Workers:
    """Workers with one key and with both, over one table; what one detects another decides."""

    def __init__(self) -> None:
        first = Pipeline(keys=BEFORE)
        faces = first.reuse.faces
        assert faces is not None
        reuse = replace(first.reuse, faces=replace(faces, keys=TemplateProtection(AFTER, WEEK_MS)))
        self.lines = {BEFORE: first, AFTER: Pipeline(store=first.store, ledger=first.ledger, reuse=reuse, keys=AFTER)}
        self.faces = first.faces

    async def detection(self, number: int, at_s: float, detects: Keys) -> Output:
        self.lines[detects].analyser.found = analysis(template=face(1, 0.01 * number))
        guid = f"00000000-0000-4000-8000-{number:012x}"
        (output,) = await self.lines[detects].detect(sent(number, at_s, correlation_id=guid))
        return output

    async def decided(self, number: int, at_s: float, detects: Keys, decides: Keys) -> Output:
        return await self.lines[decides].decide(await self.detection(number, at_s, detects))

    def kept_under(self) -> set[str]:
        return {place.key_id for place, faces in self.faces.buckets.items() if faces}


def links(decision: Output) -> int:
    return len(abuse_of(decision)["links"])


def compared(outcome: str) -> float:
    counted: float = metrics.FACE_COMPARISONS.labels(outcome=outcome)._value.get()
    return counted


async def test_restarted_one_by_one_before_the_new_key_counts_every_face_is_found():
    workers, not_known = Workers(), compared("unknown_key")
    rolling = [(BEFORE, BEFORE), (BEFORE, AFTER), (AFTER, BEFORE), (AFTER, AFTER)]
    for number, (detects, decides) in enumerate(rolling):
        assert links(await workers.decided(number, number * 600, detects, decides)) == number
    assert workers.kept_under() == {"k1"}
    for number in (4, 5):
        assert links(await workers.decided(number, SINCE_S + number, AFTER, AFTER)) == number
    late = await workers.decided(6, SINCE_S - 1, AFTER, AFTER)
    assert links(late) == 6, "one from before the new key, that is late"
    assert workers.kept_under() == {"k1", "k2"}
    assert compared("unknown_key") == not_known


@pytest.mark.parametrize("days", [0, 8, 20])
async def test_a_face_detected_by_a_worker_without_the_new_key_is_found_by_all_others(days):
    """Also when the old key is no longer looked under."""
    workers, at_s = Workers(), SINCE_S + days * 24 * HOUR_S
    assert links(await workers.decided(0, at_s, AFTER, AFTER)) == 0
    stale = await workers.detection(1, at_s + 1, BEFORE)
    face_seen = decode_detection(stale.value).references.face
    assert face_seen is not None
    assert face_seen.key_id == "k1"
    assert links(await workers.lines[AFTER].decide(stale)) == 1
    assert links(await workers.decided(2, at_s + 2, AFTER, AFTER)) == 2
    assert workers.kept_under() == {"k2"}


async def test_a_worker_without_the_new_key_decides_all_the_same_and_is_seen():
    workers, not_known = Workers(), compared("unknown_key")
    assert links(await workers.decided(0, SINCE_S, AFTER, AFTER)) == 0
    with capture_logs() as said:
        for number in (1, 2, 3):
            decision = await workers.decided(number, SINCE_S + number, AFTER, BEFORE)
            assert event_of(decision)["error"] is None
            assert (links(decision), abuse_of(decision)["face_comparison"]) == (0, None)
    assert compared("unknown_key") == not_known + 3
    assert said == [], "a counter, not a line for each submission"
    assert sum(map(len, workers.faces.buckets.values())) == 1, "what can't be compared isn't kept"
    assert links(await workers.decided(4, SINCE_S + 9, AFTER, AFTER)) == 1


async def test_templates_of_another_model_are_counted_apart():
    workers, before = Workers(), compared("other_model")
    reuse = workers.lines[AFTER].reuse
    assert reuse.faces is not None
    reuse.faces = replace(reuse.faces, model="another-abababababab")
    decision = await workers.decided(1, 0, AFTER, AFTER)
    assert (links(decision), compared("other_model"), workers.kept_under()) == (0, before + 1, set())
