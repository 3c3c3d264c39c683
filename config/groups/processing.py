"""Settings of the work on records: slots, patience, and how long a decision waits for parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from config.legal_values import Group, GroupKeys


class DetectionSettings(Group):
    """Slots: processes that analyse one frame at a time, killed at the deadline, recycled."""

    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    """Slot processes; one a core unless set."""
    slot_memory_mib: int = Field(3072, ge=512)
    """Address space one slot may use."""
    recycle_after: int = Field(5000, ge=1)
    """Pictures after which a slot is replaced by a fresh one."""
    confinement: Literal["warn", "require", "off"] = "warn"
    """What to do where this system lacks a layer of the slots' confinement: say so and go on, or refuse to start \
(exit 2); `off` switches all layers off, for debuggers."""
    read_ahead: int = Field(2, ge=0, le=64)
    """Pictures held beyond those being analysed, so that a slot never waits for the next one."""
    waiting_mib: int = Field(64, ge=0, le=4096)
    """Submissions that wait for a turn, MiB in all and at most 48; among these the next is chosen fairly. 0: the \
order of the topic."""
    fair_share: float = Field(0.5, gt=0, le=1)
    """Most of the slots that one tenant, correlation id or device has while others wait; 1 sets no bound."""
    face_landmarker_bundle: Path | None = None
    """MediaPipe Tasks bundle (face_landmarker.task); unset uses the mesh inside the mediapipe package."""
    template_manifest: Path | None = None
    """Manifest (TOML) of a face template model, or of a calibration, of your own; unset uses the built-in one."""
    pad_networks: tuple[str, ...] | None = None
    """Presentation-attack networks by name, JSON: ["minifasnet_v2"]; unset: those that `liveness models fetch` has \
fetched and that need no acceptance. A network named here counts as accepted, and must be there."""
    pad_manifests: tuple[Path, ...] = ()
    """Manifests (TOML) of presentation-attack networks of your own, JSON: ["my.toml"]; they take part beside the \
others."""


class DeliverySettings(Group):
    """Patience with Kafka and Redis; a worker that gives up ends loudly and acknowledges nothing."""

    send_timeout_s: float = Field(20.0, gt=0)
    """A send that is not confirmed for so long is sent again."""
    output_patience_s: float = Field(120.0, gt=0)
    """An output refused or out of reach for so long ends the process (exit 3), nothing acknowledged."""
    startup_patience_s: float = Field(60.0, gt=0)
    """At start-up the services may take so long to answer (then exit 3)."""
    rebalance_timeout_s: float = Field(60.0, gt=0)
    """How long a worker may take to hand over partitions; longer than the policy's event deadline."""
    session_timeout_s: float = Field(30.0, gt=0)
    """A worker that fell silent keeps its partitions so long; not below the broker's own minimum (6 s)."""
    heartbeat_interval_s: float = Field(3.0, gt=0)
    """How often a worker tells the broker that it is there."""
    request_timeout_s: float = Field(40.0, gt=0)
    """How long a client waits for the broker's answer to any one request."""
    commit_interval_s: float = Field(1.0, gt=0)
    """How often acknowledged positions are committed."""
    max_deciding: int = Field(64, ge=1, le=1024)
    """Detections being decided at once."""
    stall_timeout_s: float = Field(60.0, gt=0)
    """With work at hand and none finished for so long, a worker ends itself (exit 1)."""
    breaker_failures: int = Field(20, ge=0)
    """So many records in a row that fail inside the worker (no fault of the record) end the process (exit 1), the \
last one unacknowledged; 0 never."""
    breaker_share: float = Field(0.5, gt=0, le=1)
    """More than this share of the last 200 records failing inside the worker ends the process too."""
    breaker_dead_letters: int = Field(500, ge=0)
    """So many records in a row set aside after work on them failed end the process (exit 1); 0 never. Poison and \
forged records don't count: any publisher could send them."""
    breaker_poison: int = Field(0, ge=0)
    """So many records in a row that can't be read end the process (exit 1); 0 never. Set this where your own systems \
alone publish: a deploy that can read nothing then stops, and so does one that is sent nothing readable."""


class JoinSettings(Group):
    """The join: how long a decision waits for what arrives in parts, by Redis' clock."""

    frames_s: float = Field(120.0, gt=0, le=3600)
    """So long after the first frame of a submission that is sent as a record a frame, the rest counts as missing; \
longer than a worker's fall and the rebalance after it take."""
    groups_s: float = Field(30.0, gt=0, le=3600)
    """So long after a detection, the result of a detector group (the policy's `groups`) counts as missing."""
    group_keys: GroupKeys = ()
    """Secrets with which detector groups sign their results, JSON: [{"group", "secret"}]; needed for each group where \
records.keys are set."""
