"""The abuse engine: rule hits of a submission before it is analysed, and its assessment after the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from abuse.flags.flag_events import PolicyName, field_of, flags_from, own_levels, published, raised, stored
from abuse.flags.flags import Flag, FlagEvent, FlagState, RefusalKind, RuleFinding
from abuse.ledger.journal import Attempt
from abuse.ledger.ledger import SESSIONS, Snapshot, SubjectHistory, Switches
from abuse.links.links import LINKING, LINKS_ADDED, Cluster, Link
from abuse.links.reuse_result import NO_REUSE, Comparison, ReuseResult
from abuse.observation import Observation
from abuse.rules import RULES, rules_of
from abuse.rules.base import Case, Rule, RuleHit
from abuse.rules.ip_risk import IpRisk, ip_risk
from abuse.subjects import PERSONAL, Subject
from abuse.submission_ref import SubmissionRef
from config.limits.abuse import AbusePolicy

#: Other sessions named in one decision.
MOST_SESSIONS = 20
#: Links named in one decision: all that a submission adds, or some would be missing in a rebuilt table.
MOST_LINKS = 2 * LINKS_ADDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The abuse assessment of one submission. `flags`: open flags of its subjects. `shared`: those on the leads of the
    large clusters that the submission joined. `events`: yet to be stored. `compared`: None when its face was not
    compared. `hit`: the enforced hit that comparing its face and picture brought about."""

    flags: tuple[Flag, ...] = ()
    shared: tuple[Flag, ...] = ()
    ip_risk: IpRisk | None = None
    other_flagged_sessions: tuple[str, ...] = ()
    compared: Comparison | None = None
    links: tuple[Link, ...] = ()
    hit: RuleHit | None = None
    events: tuple[FlagEvent, ...] = ()

    @property
    def is_abuse_detected(self) -> bool:
        """Whether a flag is enforced: a shadow flag accuses nobody."""
        return any(flag.enforced for flag in (*self.flags, *self.shared))


class AbuseEngine:
    def __init__(self, policy: AbusePolicy, name: PolicyName) -> None:
        self._policy = policy
        self._name = name
        self._under = lru_cache(maxsize=256)(self._switched)

    def hits(self, known: Snapshot, submission_id: str, at_ms: int) -> tuple[RuleHit, ...]:
        """Rule hits of a submission at `at_ms`, before analysis: enforced first, then blocks, the longest first. A flag
        that the submission brought about itself is no hit: its decision was lost after it was analysed."""
        rules = self._rules(known.switches)
        flags = [flag for flag in known.flags if (submission_id, at_ms) not in flag.causes]
        found = [hit for rule in rules.values() for hit in rule.before_analysis(flags, at_ms)]
        return tuple(sorted(found, key=_weight))

    def assess(self, observation: Observation, known: Snapshot, linked: ReuseResult = NO_REUSE) -> Assessment:
        """The assessment of a decided submission; `known` includes the observation."""
        policy, rules, _ = self._under(_canonical(known.switches))
        histories = {history.subject: history for history in (*known.histories, *linked.histories)}
        cluster = linked.cluster.without(
            {history.subject.key: history.unlinked_at_ms for history in histories.values()}, observation.correlation_id
        )
        case = Case(
            observation=observation,
            journals={history.subject.type: history.attempts for history in known.histories},
            cluster=cluster,
            flags={history.subject.type: history.flags for history in known.histories},
            policy=policy,
            senders=known.senders,
            cleared_ms={history.subject.type: history.cleared_at_ms for history in known.histories},
            large=linked.large,
        )
        results = [(rule, rule.after_verdict(case)) for rule in rules.values()]
        events = [
            event
            for rule, result in results
            for finding in result.findings
            if finding.subject in histories  # of a cluster too large to be read whole, those that were
            for event in self._events(finding, rule, observation, histories[finding.subject])
        ]
        events += own_again(histories.values(), observation.submission_id)
        flags = _open_flags(known.histories, events, observation.at_ms)
        findings = [(rule, finding) for rule, result in results for finding in result.findings]
        shared = _shared_flags(findings, histories, events, observation)
        return Assessment(
            flags=_as_switched(flags, rules),
            shared=shared,
            ip_risk=ip_risk(part for _, result in results for part in result.risk)
            if observation.origin.address
            else None,
            other_flagged_sessions=_other_sessions(
                observation,
                known.histories,
                flags,
                [*cluster.refs, *(ref for each in linked.large.values() for ref in each.link.refs)],
                any_linked=any(flag.kind in LINKING for flag in (*flags, *shared)),
            ),
            compared=linked.compared,
            links=_own_links(cluster, observation)[:MOST_LINKS],
            hit=_hit_by_comparison(flags, shared, rules, observation.at_ms),
            events=tuple(events),
        )

    def reminder(self, known: Snapshot, at_ms: int) -> Assessment:
        """The assessment of a submission that was not observed: its subjects' open flags."""
        return Assessment(flags=_as_switched(_open_flags(known.histories, (), at_ms), self._rules(known.switches)))

    def _events(
        self, finding: RuleFinding, rule: Rule[Any], observation: Observation, history: SubjectHistory
    ) -> list[FlagEvent]:
        """Events of a finding that nobody stored yet. Attempts that a reviewer cleared bring about none."""
        about_another = finding.kind in LINKING and finding.subject.key != observation.correlation_id
        if about_another and _already_flagged(history, finding, observation.at_ms):
            return []
        cleared_at_ms = history.unlinked_at_ms if finding.kind in LINKING else history.cleared_at_ms
        if finding.at_ms <= cleared_at_ms:
            return []
        return raised(
            finding,
            tenant=observation.tenant,
            cause=observation.submission_id,
            cleared_at_ms=cleared_at_ms,
            enforced=rule.limits.enforced or _confirmed_kind(finding, history, observation.at_ms),
            policy=self._name,
            ttl_s=self._policy.flag_ttl_s,
            held=history.fields,
            standing=_standing(finding, history, observation.at_ms) if finding.continues else None,
        )

    def active(self, switches: Switches) -> frozenset[str]:
        """Names of the active rules."""
        return self._under(_canonical(switches))[2]

    def _rules(self, switches: Switches) -> dict[str, Rule[Any]]:
        return self._under(_canonical(switches))[1]

    def _switched(self, switches: bytes) -> tuple[AbusePolicy, dict[str, Rule[Any]], frozenset[str]]:
        policy = self._policy.switched(orjson.loads(switches))
        rules = dict(zip(RULES, rules_of(policy), strict=True))
        return policy, rules, frozenset(name for name, rule in rules.items() if rule.limits.active)


def _already_flagged(history: SubjectHistory, finding: RuleFinding, at_ms: int) -> bool:
    """Whether an open flag has the finding's level: a subject isn't flagged day after day for what others do."""
    said = (flag.level for flag in history.flags if flag.kind is finding.kind and flag.open_at(at_ms))
    return max(said, default=0) >= len(finding.severities)


def _standing(finding: RuleFinding, history: SubjectHistory, at_ms: int) -> str | None:
    """The open flag of the finding's kind that has risen highest."""
    standing = [flag for flag in history.flags if flag.kind is finding.kind and flag.open_at(at_ms)]
    return max(standing, key=lambda flag: (flag.level, flag.flag_id)).flag_id if standing else None


def _confirmed_kind(finding: RuleFinding, history: SubjectHistory, at_ms: int) -> bool:
    """Whether a reviewer has confirmed a flag of the finding's kind: further flags are enforced as well."""
    of_kind = (flag for flag in history.flags if flag.kind is finding.kind)
    return any(flag.state is FlagState.CONFIRMED and flag.open_at(at_ms) for flag in of_kind)


def own_again(histories: Iterable[SubjectHistory], submission_id: str) -> list[FlagEvent]:
    """Events that this very submission brought about when it came before: stored, perhaps not published. They are
    published again whatever the rules, a switch or a reviewer say by now."""
    texts = {text for history in histories for text in own_levels(history.fields, submission_id)}
    return sorted(map(published, texts), key=field_of)


def _canonical(switches: Switches) -> bytes:
    of_rules = {rule: on for rule, on in switches.items() if rule != SESSIONS}
    return orjson.dumps(of_rules, option=orjson.OPT_SORT_KEYS)


def _weight(hit: RuleHit) -> tuple[bool, bool, int, str]:
    refusal = hit.refusal
    return (not hit.enforced, refusal.kind is not RefusalKind.BLOCKED, -refusal.until_ms, hit.flag.flag_id)


def _open_flags(histories: Iterable[SubjectHistory], events: Iterable[FlagEvent], at_ms: int) -> tuple[Flag, ...]:
    """Open flags as they will be once the events are stored."""
    fresh: dict[Subject, dict[str, str]] = {}
    for event in events:
        fresh.setdefault(event.subject, {})[field_of(event)] = stored(event)
    flags = []
    for history in histories:
        added = fresh.get(history.subject)
        standing = flags_from({**added, **history.fields}) if added else history.flags
        flags += [flag for flag in standing if flag.open_at(at_ms)]
    return tuple(flags)


def _shared_flags(
    findings: Iterable[tuple[Rule[Any], RuleFinding]],
    histories: Mapping[Subject, SubjectHistory],
    events: Sequence[FlagEvent],
    observation: Observation,
) -> tuple[Flag, ...]:
    """Open flags on the leads of the large clusters that the observation joined: they are about each member.

    A newcomer is refused from its own time on, as if the flag were raised now, and only where the rule is enforced: a
    confirmation is about the lead alone.
    """
    shared = []
    for rule, finding in findings:
        if finding.continues and finding.subject.key != observation.correlation_id and finding.refusal is not None:
            for flag in _open_flags([histories[finding.subject]], events, observation.at_ms):
                if flag.kind is finding.kind:
                    enforced = rule.limits.active and rule.limits.enforced
                    shared.append(replace(flag, enforced=enforced, refusals=(finding.refusal,)))
    return tuple(shared)


def _own_links(cluster: Cluster, observation: Observation) -> tuple[Link, ...]:
    own = (observation.at_ms, observation.submission_id, observation.correlation_id)
    return tuple(link for link in cluster.links if link.later.key == own or link.earlier.key == own)


def _hit_by_comparison(
    flags: Sequence[Flag], shared: Sequence[Flag], rules: Mapping[str, Rule[Any]], at_ms: int
) -> RuleHit | None:
    """The heaviest enforced hit of the rules on faces and pictures, of which admission knows nothing."""
    found = [each for kind in LINKING for each in rules[kind].before_analysis(flags, at_ms) if each.enforced]
    found += [RuleHit(flag=flag, refusal=flag.refusals[0], enforced=True) for flag in shared if flag.enforced]
    return min(found, key=_weight, default=None)


def _as_switched(flags: Iterable[Flag], rules: Mapping[str, Rule[Any]]) -> tuple[Flag, ...]:
    """Flags as the gate takes them: `enforced` by the present switches, not those of when the flag was raised."""
    return tuple(replace(flag, enforced=rules[flag.kind].enforces(flag)) for flag in flags)


def _other_sessions(
    observation: Observation,
    histories: Iterable[SubjectHistory],
    flags: Sequence[Flag],
    linked: Sequence[SubmissionRef],
    *,
    any_linked: bool,
) -> tuple[str, ...]:
    """Sessions that share a flagged device, face or picture with this one, newest first."""
    flagged = {flag.subject for flag in flags if flag.subject.type in PERSONAL}
    others: list[Attempt | SubmissionRef] = []
    for history in histories:
        if history.subject in flagged:
            others += (a for a in reversed(history.attempts) if a.correlation_id != observation.correlation_id)
    newest_first: list[SubmissionRef] = sorted(linked, key=lambda ref: ref.key, reverse=True)
    others += newest_first if any_linked else []
    sessions = {other.session_id: None for other in others if other.session_id not in (None, observation.session_id)}
    return tuple(str(session) for session in sessions)[:MOST_SESSIONS]
