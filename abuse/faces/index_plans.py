"""Settings and policy become how faces and pictures are kept and searched: for who writes them, and for who says how
long they are kept."""

from __future__ import annotations

from collections.abc import Mapping

from abuse.faces.face_index import HOUR_MS, MOST_FACES_A_PLACE, FacePlan
from abuse.faces.face_prints import Distance
from abuse.pictures.media_index import MediaPlan
from config.policy import Policy
from config.settings import Settings


def face_plan(settings: Settings, policy: Policy, distances: Mapping[str, Distance]) -> FacePlan:
    """A stretch of several hours is split as its busiest would fill it."""
    limits = settings.abuse
    return FacePlan(
        window_ms=policy.abuse.face_reuse.window_s * 1000,
        span_ms=limits.face_span_h * HOUR_MS,
        parts=-(-limits.faces_an_hour * limits.face_span_h // MOST_FACES_A_PLACE),
        deadline_s=limits.face_search_s,
        distances=distances,
    )


def media_plan(policy: Policy) -> MediaPlan:
    return MediaPlan(window_ms=policy.abuse.media_replay.window_s * 1000)
