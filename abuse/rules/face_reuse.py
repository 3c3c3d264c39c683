"""The rule on a face under more correlation ids than a person should have."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from abuse.flags.flags import FlagKind, Severity
from abuse.links.links import Cluster
from abuse.rules.base import Case, Count, Rule, RuleResult
from abuse.rules.linked import shared_by_too_many_ids
from config.limits.abuse import FaceReuseLimits


class FaceReuse(Rule[FaceReuseLimits]):
    kind = FlagKind.FACE_REUSE

    def _after_verdict(self, case: Case) -> RuleResult:
        count = Count(
            measure=lambda window: window.ids,
            limit=self.limits.allowed_ids + 1,
            window_s=self.limits.window_s,
            severity=Severity.MEDIUM,
        )
        return RuleResult(findings=shared_by_too_many_ids(FlagKind.FACE_REUSE, case, self._figures, count))

    def _figures(self, cluster: Cluster) -> Mapping[str, int | float | str]:
        """How sure the links are: the nearest, and the one with the most faces compared."""
        widest, distances = max(cluster.links, key=attrgetter("gallery")), [each.distance for each in cluster.links]
        return {
            "allowed_ids": self.limits.allowed_ids,
            "nearest": min(distances),
            "farthest": max(distances),
            "gallery": widest.gallery,
            "threshold": widest.threshold,
            "expected_false_links": widest.expected,
        }
