"""How the settings lay out the keys that faces are kept under."""

from __future__ import annotations

import pytest

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import MOST_FACES_A_BUCKET, face_plan
from config.policy import Policy
from config.settings import AbuseSettings, Settings


def plan(**abuse):
    return face_plan(Settings(abuse=AbuseSettings(**abuse)), Policy(), {})


@pytest.mark.parametrize(
    ("hours", "faces_an_hour", "parts"),
    [
        *((1, MOST_FACES_A_BUCKET, 1), (1, MOST_FACES_A_BUCKET + 1, 2), (24, 1, 1)),
        *((24, MOST_FACES_A_BUCKET // 24, 1), (24, MOST_FACES_A_BUCKET // 24 + 1, 2)),
        *((6, MOST_FACES_A_BUCKET, 6), (24, 2_500_000, 2400)),
    ],
)
def test_no_key_holds_more_than_is_quick_to_search(hours, faces_an_hour, parts):
    made = plan(face_span_h=hours, faces_an_hour=faces_an_hour, face_search_s=0.5)
    assert (made.span_ms, made.parts, made.deadline_s) == (hours * HOUR_MS, parts, 0.5)
    assert faces_an_hour * hours / parts <= MOST_FACES_A_BUCKET


def test_by_default_a_key_is_an_hour_and_whole():
    made = plan()
    assert (made.span_ms, made.parts, made.window_ms) == (HOUR_MS, 1, 7 * DAY_MS)
