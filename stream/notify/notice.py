"""The notice: a record's bytes as they are, and the headers that name the event.

CloudEvents over HTTP in binary mode (HTTP protocol binding 1.0.2, 3.1): attributes are `ce-` headers, percent-encoded
where a header can't carry them. Other headers of a record stay here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from stream.events.message.ids import SHORT_TEXT
from stream.events.message.messages import Record
from stream.events.wire.cloud_events import unwrap

#: Attributes that are handed on; extensions are in the body already where they matter.
FORWARDED = ("id", "type", "source", "specversion", "subject")
#: Longer ones are left out: receivers refuse requests whose headers exceed a few KiB.
LONGEST_HEADER = 1024
#: Binding 3.1.3.2: printable ASCII but space, double quote and percent stays as it is.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Notice to be posted. `event_id` is the event's own: the same at every attempt, so that a receiver can tell a
    repeat."""

    event_id: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class NoNotice(ValueError):
    """Refusal of a record that is no event to be posted; the message quotes nothing of the record."""


def notice_of(record: Record) -> Notice:
    """Notice of a record, whose bytes are not looked at: they are the receiver's business. Raises NoNotice."""
    attributes = unwrap(record.headers).attributes
    event_id = attributes.get("id")
    if event_id is None or not re.fullmatch(SHORT_TEXT, event_id):
        raise NoNotice("no usable event id")
    if not record.value:
        raise NoNotice("no event")
    encoded = {f"ce-{name}": quote(value, safe=_PLAIN) for name in FORWARDED if (value := attributes.get(name))}
    headers = {name: value for name, value in encoded.items() if len(value) <= LONGEST_HEADER}
    return Notice(event_id=event_id, body=record.value, headers={"content-type": "application/json", **headers})
