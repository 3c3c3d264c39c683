"""The text of a list: read, skipped or refused, and never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.networks import netset as network_file
from abuse.networks.netset import moment, parse
from abuse.networks.ranges import NetworkIndex, number_of
from abuse.networks.watched_files import FileRefused
from tests.unit.abuse.networks.network_folders import NOW_MS

#: The header as FireHOL's lists have it.
FIREHOL = """\
#
# firehol_level1
#
# Maintainer      : FireHOL
# Source File Date: Mon Jan  5 06:15:03 UTC 2015
#
# This File Date  : Mon Nov 10 06:15:03 UTC 2025
# Update Frequency: 1 min
# Entries         : 4 subnets, 612,861,440 unique IPs
#
0.0.0.0/8
10.0.0.0/8
93.184.216.0/24
8.8.8.8
"""


def listed(text: str | bytes, address: str) -> bool:
    ranges = parse(text if isinstance(text, bytes) else text.encode()).ranges
    return NetworkIndex({"x": ranges}).names(*number_of(address)) == ("x",)


def test_list_of_firehol():
    file = parse(FIREHOL.encode())
    assert (file.networks, file.malformed, file.malformed_lines) == (4, 0, ())
    assert file.dated_ms == 1_762_755_303_000
    addresses = ("93.184.216.7", "8.8.8.8", "8.8.8.9", "10.1.1.1")
    assert [listed(FIREHOL, each) for each in addresses] == [True, True, False, False]


@pytest.mark.parametrize(
    "line",
    [
        *("8.8.8.0/24", "8.8.8.8 # why", "8.8.8.0/24 ; SBL256894", "  8.8.8.8\t", "8.8.8.1-8.8.8.9"),
        *("8.8.8.1 - 8.8.8.9", "::ffff:8.8.8.8"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n# end\n"])
def test_forms_of_a_line(line, end):
    text = f"# a\n\n{line}{end}"
    assert listed(text, "8.8.8.8")
    assert listed(b"\xef\xbb\xbf" + text.encode(), "8.8.8.8"), "behind a byte order mark"


@pytest.mark.parametrize(
    "line",
    [
        *("# This File Date: Fri Nov 20 00:00:00 UTC 2026", "# date: 2026-11-20T00:00:00Z", "#date=2026-11-20"),
        *("; Last-Modified: Fri, 20 Nov 2026 00:00:00 GMT", "# Last updated: 2026-11-20 00:00:00 UTC"),
        *("## Generated : 2026-11-20T01:00:00+01:00", "# Date: 2026-11-20 00:00"),
    ],
)
def test_forms_of_a_date(line):
    assert parse(f"# list\n{line}\n8.8.8.8\n".encode()).dated_ms == NOW_MS


@pytest.mark.parametrize(
    "line",
    [
        *("# Update Frequency: 1 min", "# date: soon, very soon", "# 2026-11-20", "# date: 2026-99-99", "# date:"),
        *("# date: 99999999999999999999", "# date: 2026-11-20T00:00:00Z and much more text than any date would have"),
        "# the date: " + "9" * 500,
    ],
)
def test_other_text_is_no_date(line):
    assert parse(f"{line}\n8.8.8.8\n# date: 2026-11-20\n".encode()).dated_ms is None, "nor counts one behind an entry"


@given(text=st.text(max_size=40))
def test_any_text_is_a_date_or_none(text):
    assert moment(text) is None or isinstance(moment(text), int)


def entries(sound: int, *malformed: str) -> bytes:
    good = [f"8.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(sound)]
    return ("# list\n" + "\n".join([*good, *malformed]) + "\n").encode()


def test_few_malformed_lines_are_counted():
    """The first of them are reported by their lines; of long ones too."""
    file = parse(entries(198, "nonsense", "1.2.3.4/33"))
    assert (file.networks, file.malformed, file.malformed_lines) == (198, 2, (200, 201))
    file = parse(entries(2000, "8.8.8.8 # " + "x" * 600, *["x"] * 19))
    assert (file.malformed, file.malformed_lines) == (20, (2002, 2003, 2004, 2005, 2006))


def test_many_malformed_lines_are_refused():
    with pytest.raises(FileRefused) as refusal:
        parse(entries(198, "203.0.113.77x", "nonsense", "1.2.3.4/33"))
    assert str(refusal.value) == "3 of 201 entries are malformed (the first on lines 200, 201, 202)"


NO_LISTS = {
    "zeros": b"\x00" * 4096,
    "gzip": b"\x1f\x8b\x08" + bytes(range(256)) * 40,
    "html": b"<!DOCTYPE html>\n<html>\n",
    "json": b"{}",
    "a zero behind": b"8.8.8.8\x00",
    "other digits": "８.8.8.8\n".encode(),
    "one line": b"8.8.8.8," * 1000,
    "one endless line": b"8" * 10_000_000,
    "a line too long": b"8.8.8.8" + b" " * 600 + b"# x",
}


@pytest.mark.parametrize("content", NO_LISTS.values(), ids=NO_LISTS)
def test_other_content_is_refused(content):
    with pytest.raises(FileRefused, match="malformed"):
        parse(content)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n"])
def test_empty_file_is_refused(content):
    with pytest.raises(FileRefused, match="empty"):
        parse(content)


def test_comments_count_as_nothing():
    assert parse(b"# date: 2026-11-20\n").networks == 0
    assert listed(b"# " + b"x" * 100_000 + b"\n8.8.8.8\n", "8.8.8.8")


def test_number_of_lines_is_bounded(monkeypatch):
    monkeypatch.setattr(network_file, "MAX_LINES", 3)
    assert parse(b"#\n8.8.8.8\n8.8.4.4").networks == 2
    with pytest.raises(FileRefused, match="more than 3 lines"):
        parse(b"#\n" * 4)


@given(content=st.binary(max_size=300) | st.text(alphabet="0123456789.:/-#;\n af", max_size=300).map(str.encode))
def test_any_bytes_are_a_list_or_refused(content):
    try:
        file = parse(content)
    except FileRefused:
        return
    assert file.networks + file.malformed <= content.count(b"\n") + 1
