"""The text of a network list (FireHOL's netset format) as ranges.

The format: comment lines, one of them with a date, then one address, network or range a line. Few malformed lines are
counted; a file with many is no network list, or not all of it, and is refused whole. No message repeats a line: an
address must not end up in a log.
"""

from __future__ import annotations

import io
import re
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from abuse.networks.ranges import V4_BITS, Ranges, range_of
from abuse.networks.watched_files import FileRefused

#: The largest public list (all of FireHOL's level 4 with its parts) has about 200 000 lines and 3 MB.
MAX_BYTES = 64 * 1024 * 1024
MAX_LINES = 1_000_000
#: Two IPv6 addresses with a dash take 79; the rest is room for a comment behind them.
MAX_LINE_BYTES = 512
MAX_MALFORMED_SHARE = 0.01
#: Numbers of malformed lines that are reported.
LINES_REPORTED = 5

_DATE_LINE = re.compile(r"[#;]+\s*([A-Za-z -]*(?:date|updated|generated|modified))\s*[:=]\s*(.{8,40})", re.IGNORECASE)
#: FireHOL states the date of its source too, which may be years ago for a list that is in order.
_BEST_DATE = "this file date"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFile:
    """The content of a file. `networks`: number of entries; `dated_ms`: the header's date, UTC milliseconds."""

    ranges: Ranges
    networks: int
    dated_ms: int | None
    malformed: int
    malformed_lines: tuple[int, ...]


def parse(content: bytes) -> NetworkFile:
    """The list in a file's text; two to three microseconds a line. Raises FileRefused, also for an empty file, which is
    yet to be written."""
    if not content.strip():
        raise FileRefused("empty")
    reading = _Reading()
    for number, line in enumerate(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")), 1):
        if number > MAX_LINES:
            raise FileRefused(f"more than {MAX_LINES} lines")
        reading.take(number, line)
    return reading.result()


class _Reading:
    def __init__(self) -> None:
        # An IPv4 range is one number of 64 bits; one of IPv6 outgrows an array.
        self._v4, self._v6 = array("Q"), list[int]()
        self._dates: dict[str, int] = {}
        self._malformed, self._malformed_lines = 0, list[int]()

    def take(self, number: int, line: bytes) -> None:
        text = line.strip()
        if not text:
            return
        if text[0] in b"#;":
            self._header(text)
            return
        try:
            if len(text) > MAX_LINE_BYTES:
                raise ValueError("too long")
            self._entry(text.decode("ascii"))
        except ValueError:
            self._malformed += 1
            if len(self._malformed_lines) < LINES_REPORTED:
                self._malformed_lines.append(number)

    def _entry(self, text: str) -> None:
        if "#" in text or ";" in text:
            text = re.split("[#;]", text, maxsplit=1)[0].rstrip()
        bits, first, last = range_of(text)
        (self._v4 if bits == V4_BITS else self._v6).append(first << bits | last)

    def _header(self, text: bytes) -> None:
        if self._v4 or self._v6 or len(text) > MAX_LINE_BYTES:
            return
        match = _DATE_LINE.fullmatch(text.decode("ascii", "replace"))
        if match and (at_ms := moment(match[2])) is not None:
            self._dates.setdefault(" ".join(match[1].lower().split()), at_ms)

    def result(self) -> NetworkFile:
        sound = len(self._v4) + len(self._v6)
        if self._malformed > MAX_MALFORMED_SHARE * (sound + self._malformed):
            where = ", ".join(map(str, self._malformed_lines))
            raise FileRefused(
                f"{self._malformed} of {sound + self._malformed} entries are malformed (the first on lines {where})"
            )
        return NetworkFile(
            ranges=Ranges.of(self._v4, self._v6),
            networks=sound,
            dated_ms=self._dates.get(_BEST_DATE, next(iter(self._dates.values()), None)),
            malformed=self._malformed,
            malformed_lines=tuple(self._malformed_lines),
        )


def moment(text: str) -> int | None:
    """UTC milliseconds of an ISO 8601 or mail-like date ("Mon Nov 10 06:15:03 UTC 2025"); None for other text."""
    found = _iso(text.strip().removesuffix("UTC").rstrip()) or _mail(text)
    if found is None:
        return None
    try:
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except OverflowError:
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _mail(text: str) -> datetime | None:
    """A date in the order of e-mail or of `date`, whatever the locale: the standard library's reader takes both."""
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, LookupError):
        return None
