"""Record MACs: what a worker writes for other workers carries a keyed MAC, so that a right at the broker is not enough
to be believed.

The header `liveness_mac` holds version, key id and HMAC-SHA256 (RFC 2104). The MAC covers the topic's name with its
prefix, the record's key and value, and the headers that name the event, each with its length before it: a record is no
other record, neither under another key nor on another topic nor in an installation with another prefix. The key is
derived from an operator's secret for this purpose alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from abuse.keys.key_periods import HashKey, KeyPeriods
from stream.events.message.messages import SESSION_HEADER, Headers, Output, Record
from stream.events.topics import Topic
from stream.events.wire.cloud_events import ATTRIBUTE_PREFIX
from stream.runtime.worded import Worded

HEADER = "liveness_mac"
#: Topics that workers alone write to.
INTERNAL = frozenset({Topic.DETECTIONS, Topic.DECISIONS, Topic.ABUSE_FLAGS, Topic.SESSIONS, Topic.AUDIT})
_PURPOSE = b"liveness record mac 1"
_FORM = re.compile(rb"1:([a-z0-9]{1,16}):([0-9a-f]{64})")


class MacFault(Worded):
    """Fault of a record that is not believed; the value is a metric's label, the words are for letters and logs."""

    MISSING = ("missing", "the record carries no MAC: no worker with LIVENESS_RECORDS__KEYS has written it")
    MALFORMED = ("malformed", "the record's MAC is malformed, or there are several")
    UNKNOWN_KEY = ("unknown_key", "the record's MAC names a key that is not among LIVENESS_RECORDS__KEYS here")
    WRONG = ("wrong", "the record's MAC is not the one of this record")


class RecordMacs:
    """MACs of an installation's internal records, called by the publisher and by readers of such records. Pure but for
    the clock; holds the secrets.

    `topics`: a topic's full name -> topic. Without keys nothing is signed and everything believed.
    `unsigned_until_ms`: a record that the broker appended before, by the broker's own time, is believed without a MAC,
    not with a wrong one. A time that the sender chose says nothing.
    """

    def __init__(
        self,
        keys: Sequence[HashKey] = (),
        topics: Mapping[str, Topic] | None = None,
        now_ms: Callable[[], int] = lambda: 0,
        unsigned_until_ms: int = 0,
    ) -> None:
        """Raises ValueError unless exactly one key is in force from the beginning of time, or there is none."""
        self._periods = KeyPeriods([replace(key, secret=_derived(key)) for key in keys]) if keys else None
        self._ids = frozenset(key.id for key in keys)
        self._internal = frozenset(name for name, topic in (topics or {}).items() if topic in INTERNAL)
        self._now_ms = now_ms
        self._unsigned_until_ms = unsigned_until_ms

    def signed(self, output: Output) -> Output:
        """The output with its MAC by the key in force; one of a topic that is not internal as it is."""
        if output.topic not in self._internal or self._periods is None:
            return output
        key = self._periods.in_force(self._now_ms())
        mac = _mac(key, output)
        return replace(output, headers=(*output.headers, (HEADER, f"1:{key.id}:{mac}".encode())))

    def fault(self, record: Record) -> MacFault | None:
        """Why the record is not believed; None for one that is, and for one of a topic that is not internal."""
        if record.topic not in self._internal or self._periods is None:
            return None
        given = [value for name, value in record.headers if name == HEADER]
        if not given:
            before = record.dated_by_broker and 0 < record.appended_at_ms < self._unsigned_until_ms
            return None if before else MacFault.MISSING
        read = _FORM.fullmatch(given[0])
        if read is None or len(given) > 1:
            return MacFault.MALFORMED
        key_id, told = read[1].decode(), read[2].decode()
        if key_id not in self._ids:
            return MacFault.UNKNOWN_KEY
        right = _mac(self._periods.of(key_id), record)
        return None if hmac.compare_digest(told, right) else MacFault.WRONG


#: For an installation without keys.
NO_MACS = RecordMacs()


def _derived(key: HashKey) -> bytes:
    return hmac.new(key.secret, _PURPOSE, hashlib.sha256).digest()


def _mac(key: HashKey, of: Output | Record) -> str:
    told = list[bytes]()
    for part in (of.topic.encode(), of.key, of.value, *_named(of.headers)):
        told += (b"-",) if part is None else (b"%d:" % len(part), part)
    # Joined once: a formatted part would be one more copy of a picture of megabytes.
    return hmac.digest(key.secret, b"".join(told), "sha256").hex()


def _named(headers: Headers) -> Iterator[bytes]:
    """Headers that readers go by, in their order. Others may be added on the way, as tracing does."""
    for name, value in headers:
        if name.startswith(ATTRIBUTE_PREFIX) or name.lower() == "content-type" or name == SESSION_HEADER:
            yield name.encode("utf-8", "backslashreplace")
            yield value
