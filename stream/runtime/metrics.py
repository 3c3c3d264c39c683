"""Prometheus metrics in base units; label values come from closed sets, never from an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from abuse.networks.lists import ListState
from detectors.contract import ANALYSIS_STEPS

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

RECORDS = Counter("liveness_records_total", "Records read, by agent.", ["agent"])
DECISIONS = Counter("liveness_decisions_total", "Decisions published, by verdict.", ["verdict"])
DUPLICATES = Counter("liveness_duplicate_decisions_total", "Stored decisions published again.")
ERRORS = Counter("liveness_errors_total", "Decisions that carry an error, by code.", ["code"])
TIMES_BOUNDED = Counter(
    "liveness_record_times_bounded_total", "Records without a time, or from the future by Redis' clock."
)
DEAD_LETTERS = Counter("liveness_dead_letters_total", "Records set aside, by reason.", ["reason"])
JOINS = Counter(
    "liveness_joins_total",
    "Submissions in parts that were closed (complete, spoilt, deadline, erased), and parts that came late or again.",
    ["outcome"],
)
GROUP_PARTS = Counter(
    "liveness_group_parts_total",
    "Results of detector groups: joined, or of a group that nobody waits for.",
    ["outcome"],
)
FORGED = Counter(
    "liveness_forged_records_total",
    "Records without a right MAC, and commands without a right signature, by topic and fault; none was believed.",
    ["topic", "why"],
)
DELETED_UNREAD = Counter(
    "liveness_deleted_unread_total", "Records that retention deleted before any worker read them.", ["topic"]
)
OFFSETS_BEYOND_END = Counter(
    "liveness_offset_beyond_end_total",
    "Partitions read again: committed beyond the log's end.",
    ["topic"],
)
ABUSE_FLAGS = Counter("liveness_abuse_flags_total", "Flag events published, by kind and state.", ["kind", "state"])
SESSION_EVENTS = Counter(
    "liveness_session_events_total",
    "Events of sessions published, by state; a refused command is `refused`.",
    ["state"],
)
ABUSE_RULE_HITS = Counter(
    "liveness_abuse_objections_total",
    "Flags that stood against a submission at admission; only an enforced one refuses it.",
    ["kind", "enforced"],
)
FACE_COMPARISONS = Counter(
    "liveness_face_comparisons_total",
    "Faces compared with others: complete, or cut by the deadline; and those that could not be: of another model, or"
    " under a key that this worker hasn't, as between restarts or with different settings.",
    ["outcome"],
)
CLOCK_AHEAD_SECONDS = Gauge(
    "liveness_clock_ahead_seconds", "How far this worker's clock is ahead of Redis' clock; below 0 behind."
)
COMMANDS = Counter("liveness_commands_total", "Commands answered, by outcome.", ["outcome"])
STAGE_SECONDS = Histogram("liveness_stage_seconds", "Wall time of one stage.", ["stage"], buckets=_SECONDS)
SLOT_CPU_SECONDS = Counter("liveness_slot_cpu_seconds_total", "Processor time of analyses in slots.")
DECISION_SECONDS = Histogram(
    "liveness_decision_seconds", "From the broker's append to the published decision.", buckets=_SECONDS
)
IN_FLIGHT = Gauge("liveness_in_flight", "Records being worked on, by agent.", ["agent"])
WAITING = Gauge("liveness_waiting", "1 while the worker waits for a dependency.", ["dependency"])
REDIS_EVICTS = Gauge("liveness_redis_evicts", "1 while Redis may drop keys: a full one undoes pauses and blocks.")
FLEET_DIFFERS = Gauge(
    "liveness_fleet_differs",
    "Living workers of the consumer group that differ from this one, by what: in policy or release during a deploy.",
    ["what"],
)
CAREFUL = Gauge(
    "liveness_careful", "1 while the worker has one record in work, to find the one on which workers ended outright."
)
REDIS_EMPTIED = Gauge("liveness_redis_emptied", "1 while Redis lacks the installation's marker: no record is decided.")
LOG_LINES_LOST = Counter("liveness_log_lines_lost_total", "Log lines that stderr did not take: is a disk full?")
SLOT_RESTARTS = Counter("liveness_slot_restarts_total", "Slot processes replaced, by reason.", ["reason"])
SLOT_CONFINEMENT = Gauge(
    "liveness_slot_confinement", "1 for a layer that confines the slots, 0 for one that this system lacks.", ["layer"]
)
SLOTS_BUSY = Gauge("liveness_slots_busy", "Slot processes with a picture.")
OLDEST_UNREAD_SECONDS = Gauge(
    "liveness_oldest_record_age_seconds", "Age of the last submission taken in, when it was taken in."
)
WEBHOOK_DELIVERIES = Counter(
    "liveness_webhook_deliveries_total", "Flags posted: delivered, attempts retried, set aside.", ["outcome"]
)
NETWORK_LIST_AGE_SECONDS = Gauge(
    "liveness_network_list_age_seconds", "Time since a network list's own date, by list, used or not.", ["list"]
)
NETWORK_LIST_NETWORKS = Gauge(
    "liveness_network_list_networks", "Entries of a network list in use; 0 for one that is left out.", ["list"]
)

#: The steps a slot reports; anything else in its answer is not made a label.
SLOT_STAGES = ("slot_wait", *ANALYSIS_STEPS)


_STAGES = {stage: STAGE_SECONDS.labels(stage=stage) for stage in (*SLOT_STAGES, "detection")}


def observe_stage(stage: str, seconds: float) -> None:
    """Record the wall time of a stage of the table above."""
    _STAGES[stage].observe(seconds)


def observe_analysis(elapsed_ms: Mapping[str, float], cpu_ms: float) -> None:
    """Record what one analysis took."""
    for stage in SLOT_STAGES:
        if stage in elapsed_ms:
            observe_stage(stage, elapsed_ms[stage] / 1000)
    SLOT_CPU_SECONDS.inc(cpu_ms / 1000)


_network_lists: set[str] = set()


def observe_network_lists(lists: Iterable[ListState]) -> None:
    """Record the network lists as of the last look; those gone lose their series. Labels are the operator's names."""
    read = {each.name: each for each in sorted(lists, key=lambda each: each.used) if each.age_days is not None}
    for name in _network_lists - read.keys():
        NETWORK_LIST_AGE_SECONDS.remove(name)
        NETWORK_LIST_NETWORKS.remove(name)
    for name, each in read.items():
        NETWORK_LIST_AGE_SECONDS.labels(list=name).set((each.age_days or 0.0) * 86400)
        NETWORK_LIST_NETWORKS.labels(list=name).set(each.networks if each.used else 0)
    _network_lists.clear()
    _network_lists.update(read)
