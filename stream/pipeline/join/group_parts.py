"""Group parts: records that detector groups write to the detections topic, read and believed or not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stream.events.authentication.forgeries import Forgeries
from stream.events.authentication.group_macs import GroupMacs
from stream.events.message.messages import Fault, Output, Record
from stream.events.wire.dead_letter import DeadLetters
from stream.events.wire.detection_part import DetectionPart, PartError, decode_part
from stream.runtime import metrics

BAD_PART_REASON = "BAD_DETECTION_PART"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupParts:
    """Reader of group parts for the decide stage. `groups`: those of the policy; another one's results count nothing,
    so that a group may begin before the policy names it."""

    groups: Collection[str]
    macs: GroupMacs
    dead_letters: DeadLetters
    forgeries: Forgeries

    def read(self, record: Record) -> DetectionPart | Output | None:
        """The part, the dead letter of a record that is none or that the group has not signed, or None for a group that
        nobody waits for."""
        try:
            part = decode_part(record.value)
        except PartError as error:
            return self.dead_letters.letter(record, reason=BAD_PART_REASON, message=str(error), fault=Fault.POISON)
        if part.group not in self.groups:
            metrics.GROUP_PARTS.labels(outcome="unknown_group").inc()
            return None
        fault = self.macs.fault(record, part.group)
        return part if fault is None else self.forgeries.letter(record, fault, fault.words)
