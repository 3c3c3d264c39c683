"""How the settings lay out the keys that faces are kept under."""

from __future__ import annotations

from abuse.event_time import DAY_MS, HOUR_MS
from abuse.faces.face_index import face_plan
from config.groups.abuse_table import AbuseSettings
from config.policy import Policy
from config.settings import Settings


def plan(**abuse):
    return face_plan(Settings(abuse=AbuseSettings(**abuse)), Policy(), {})


def test_by_default_a_key_is_a_day():
    made = plan()
    assert (made.span_ms, made.window_ms, made.deadline_s) == (DAY_MS, 7 * DAY_MS, 0.25)


def test_settings():
    made = plan(face_span_h=6, face_search_s=0.5)
    assert (made.span_ms, made.deadline_s) == (6 * HOUR_MS, 0.5)
