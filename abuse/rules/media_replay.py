"""The rule on pictures used again: under another correlation id, or by the same id in another session."""

from __future__ import annotations

from collections.abc import Mapping

from abuse.flags.flags import FlagKind, Severity
from abuse.ledger.windows import Window
from abuse.links.links import MEDIA, Cluster
from abuse.rules.base import Case, Count, Rule, RuleResult
from abuse.rules.linked import shared_by_too_many_ids
from config.limits.abuse import MediaReplayLimits


class MediaReplay(Rule[MediaReplayLimits]):
    kind = FlagKind.MEDIA_REPLAY

    def _after_verdict(self, case: Case) -> RuleResult:
        count = Count(measure=_uses, limit=self.limits.uses, window_s=self.limits.window_s, severity=Severity.MEDIUM)
        return RuleResult(findings=shared_by_too_many_ids(FlagKind.MEDIA_REPLAY, case, _figures, count))


def _uses(window: Window) -> int:
    """Distinct uses: a picture sent twice in one session is a retry, anything else a replay."""
    return len({(attempt.correlation_id, attempt.session_id) for attempt in window.attempts})


def _figures(cluster: Cluster) -> Mapping[str, int | float | str]:
    """Links by kind."""
    kinds = [each.kind for each in cluster.links]
    return {str(kind): count for kind in MEDIA if (count := kinds.count(kind))}
