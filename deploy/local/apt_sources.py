"""Read the machine's package sources and derive source-package entries of Debian 13 from them.

The addresses are the machine's own (a mirror, a proxy's address, whatever its owner configured); none is
known here.
Both formats of sources.list(5) are read: one line per entry (*.list) and paragraphs (*.sources).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

RELEASE = "trixie"
"""Debian 13: the first release whose Redis (8.0) has vector sets."""

DEBIAN_RELEASES = frozenset(
    {
        *("buster", "bullseye", "bookworm", RELEASE, "forky", "duke", "sid"),
        *("oldoldstable", "oldstable", "stable", "testing", "unstable"),
    }
)

CARRIED_OPTIONS = ("Signed-By", "Trusted", "Check-Valid-Until", "Allow-Insecure")
"""How far the machine trusts an address goes with the address; architectures don't matter to sources."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One entry: the same options for every address and suite in it."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


def read_machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[SourceEntry]:
    """All enabled entries of the machine, in apt's order."""
    entries: list[SourceEntry] = []
    main = etc_apt / "sources.list"
    parts = etc_apt / "sources.list.d"
    for path in [main, *sorted([*parts.glob("*.list"), *parts.glob("*.sources")])]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        entries += parse_paragraphs(text) if path.suffix == ".sources" else parse_lines(text)
    return entries


def parse_lines(text: str) -> list[SourceEntry]:
    """Entries of the one-line format: `deb [option=value] address suite component...`."""
    entries: list[SourceEntry] = []
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        match = re.fullmatch(r"deb(?:-src)?\s+(?:\[([^]]*)]\s*)?(\S+)\s+(\S+)\s*(.*)", content)
        if match is None:
            continue
        options, uri, suite, components = match.groups()
        pairs = dict(_normal_option(item) for item in (options or "").split() if "=" in item)
        entries.append(SourceEntry((uri,), (suite,), tuple(components.split()), _carried(pairs)))
    return entries


def _normal_option(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name.rstrip("+-").lower(), value.replace(",", " ")


def parse_paragraphs(text: str) -> list[SourceEntry]:
    """Entries of the paragraph format; a field goes on in lines that start with a blank."""
    entries: list[SourceEntry] = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", kept):
        fields = _fields(paragraph)
        if "uris" not in fields or fields.get("enabled", "yes").strip().lower() in (
            "no",
            "false",
            "0",
            "off",
        ):
            continue
        uris, suites, components = (tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components"))
        entries.append(SourceEntry(uris, suites, components, _carried(fields)))
    return entries


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line[:1].isspace():
            fields[name] = fields.get(name, "") + "\n" + line
        elif ":" in line:
            head, _, value = line.partition(":")
            name = head.strip().lower()
            fields[name] = value.strip()
    return fields


def _carried(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, values[name.lower()]) for name in CARRIED_OPTIONS if name.lower() in values)


def derive_release_sources(entries: Iterable[SourceEntry]) -> str:
    """Text of a *.sources file with the source packages of `RELEASE`; empty when no entry is Debian's main
    archive.

    Updates and security fixes are included where the machine itself takes them from.
    """
    known = list(entries)
    if not any(target_suite(suite) == RELEASE for entry in known for suite in entry.suites if _usable(entry)):
        return ""
    paragraphs: list[str] = []
    for entry in filter(_usable, known):
        targets = dict.fromkeys(filter(None, map(target_suite, entry.suites)))
        if targets:
            paragraphs.append(_paragraph(entry, targets))
    return "\n".join(dict.fromkeys(paragraphs))


def target_suite(suite: str) -> str | None:
    """The suite of `RELEASE` that stands where this one stands; None when it isn't one of Debian's own."""
    name = suite.removesuffix("/updates")  # security suites up to Debian 10
    if name != suite and name in DEBIAN_RELEASES:
        return f"{RELEASE}-security"
    base, dash, kind = suite.partition("-")
    if base not in DEBIAN_RELEASES:
        return None
    if not dash:
        return RELEASE
    return f"{RELEASE}-{kind}" if kind in ("updates", "security") else None


def _usable(entry: SourceEntry) -> bool:
    return "main" in entry.components and any(_network(uri) for uri in entry.uris)


def _network(uri: str) -> bool:
    return not uri.startswith(("cdrom:", "file:", "copy:"))


def _paragraph(entry: SourceEntry, suites: Iterable[str]) -> str:
    lines = [
        "Types: deb-src",
        f"URIs: {' '.join(filter(_network, entry.uris))}",
        f"Suites: {' '.join(suites)}",
        "Components: main",
        *(f"{name}: {value}" for name, value in entry.options),
    ]
    return "\n".join(lines) + "\n"
