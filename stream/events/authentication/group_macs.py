"""Group MACs: a detector group signs its results with a key of its own, which opens nothing but the group's own place.

A record key would let a group write decisions. The header `liveness_group_mac` holds `1:` and HMAC-SHA256 (RFC 2104) in
lower-case hex, over the topic's full name, a line feed and the record's value.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from stream.events.message.messages import Record
from stream.runtime.worded import Worded

HEADER = "liveness_group_mac"
_FORM = re.compile(rb"1:([0-9a-f]{64})")


class GroupMacFault(Worded):
    """Fault of a detection part that is not believed; the value is a metric's label, the words are for dead letters."""

    MISSING = ("missing", "the detection part carries no MAC of its group")
    MALFORMED = ("malformed", "the detection part's MAC is malformed, or there are several")
    WRONG = ("wrong", "the detection part's MAC is not by a key of its group")


class GroupMacs:
    """MACs of detector groups by the configured keys; holds the secrets. A group without keys is believed."""

    def __init__(self, keys: Mapping[str, Sequence[bytes]]) -> None:
        self._keys = keys

    def fault(self, record: Record, group: str) -> GroupMacFault | None:
        """Why the record is not believed to be of this group; None for one that is."""
        if not self._keys.get(group):
            return None
        given = [value for name, value in record.headers if name == HEADER]
        if not given:
            return GroupMacFault.MISSING
        read = _FORM.fullmatch(given[0])
        if read is None or len(given) > 1:
            return GroupMacFault.MALFORMED
        told = read[1].decode()
        right = [mac_of(key, record.topic, record.value or b"") for key in self._keys[group]]
        return None if any(hmac.compare_digest(told, each) for each in right) else GroupMacFault.WRONG


def mac_of(key: bytes, topic: str, value: bytes) -> str:
    return hmac.digest(key, topic.encode() + b"\n" + value, "sha256").hex()
