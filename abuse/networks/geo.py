"""Autonomous system and country of an address, from MaxMind-format databases the operator may mount.

A database is held in memory rather than mapped: a mapped file that is overwritten in place ends the process
(SIGBUS) or answers with a mixture, and the library's own Python reader takes about 15 µs a look-up
(tests/bench/network_lookup.py), nothing beside the analysis of a picture. The price is the file's size in
memory, about 10 MB for the free databases, and twice that for a moment while a new one is read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import maxminddb
import structlog

from abuse.networks.ranges import V4_BITS, is_global
from abuse.networks.watched_files import FileRefused, WatchedFile, reason
from config.errors import SettingsError

log = structlog.get_logger()

#: The largest commercial databases of these two kinds have a few hundred megabytes.
MAX_BYTES = 1024 * 1024 * 1024
HIGHEST_ASN = 2**32 - 1
#: Look-ups tried before a database is put to use, spread over the address space.
PROBES_V4, PROBES_V6 = 512, 64
#: What the reader raises for a tree or a record that is damaged, besides its own error (a RuntimeError).
_DAMAGE = (RuntimeError, ValueError, LookupError, TypeError, struct.error)


def asn_name(record: Any) -> str | None:
    """`asn-64500`, from MaxMind's or DB-IP's field or from IPinfo's ("AS64500")."""
    stated = record.get("autonomous_system_number", record.get("asn"))
    if isinstance(stated, str):
        digits = stated.upper().removeprefix("AS")
        stated = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
    return f"asn-{stated}" if isinstance(stated, int) and 0 < stated <= HIGHEST_ASN else None


def country_name(record: Any) -> str | None:
    """`country-de`, from the ISO 3166 code in MaxMind's or DB-IP's field or in IPinfo's flat one."""
    stated = record.get("country_code", record.get("country"))
    code = stated.get("iso_code") if isinstance(stated, dict) else stated
    sound = isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha()
    return f"country-{code.lower()}" if isinstance(code, str) and sound else None


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """A kind of database: the setting that names the file, what a record `holds`, and how a record becomes a name."""

    setting: str
    holds: str
    name: Callable[[Any], str | None]


ASN = DatabaseKind("abuse.asn_database", "autonomous system numbers", asn_name)
COUNTRY = DatabaseKind("abuse.country_database", "country codes", country_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """A database as of the last look. `why`: what is wrong with a newer file while the older is in use."""

    setting: str
    type: str
    built_ms: int
    why: str | None = None


class GeoDatabase:
    """A database and its file. Look-ups may come from any thread; `refresh` from one at a time."""

    def __init__(self, path: Path, kind: DatabaseKind) -> None:
        """Open the database; blocks. Raises SettingsError when there is no sound file."""
        self._file, self._kind = WatchedFile(path, max_bytes=MAX_BYTES), kind
        self._fault: str | None = None
        try:
            content = self._file.news()
            if content is None:
                raise SettingsError(f"{kind.setting}: {path} is still being written")
            self._reader = _sound_reader(content, kind)
        except (OSError, FileRefused) as error:
            raise SettingsError(f"{kind.setting}: {path} can't be used: {reason(error)}") from None

    def name(self, address: IPv4Address | IPv6Address) -> str | None:
        """The name for a globally routable address, if the database knows it."""
        reader = self._reader
        try:
            return _name_in(reader, self._kind, address)
        except _DAMAGE:
            # A damaged record must cost no decision: it counts as missing.
            self._log_fault("some of its records are damaged")
            return None

    def refresh(self) -> None:
        """Put a changed file to use. Blocks. If anything is wrong with the file, the version in use stays."""
        try:
            content = self._file.news()
            if content is None:
                return
            self._reader = _sound_reader(content, self._kind)
        except (OSError, FileRefused) as error:
            self._log_fault(reason(error))
            return
        self._fault = None
        log.info("address_database_read", setting=self._kind.setting, type=self._reader.metadata().database_type)

    def state(self) -> DatabaseState:
        metadata = self._reader.metadata()
        built_ms = metadata.build_epoch * 1000
        return DatabaseState(
            setting=self._kind.setting, type=str(metadata.database_type), built_ms=built_ms, why=self._fault
        )

    def _log_fault(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            log.warning("address_database_kept", setting=self._kind.setting, why=fault)


class _Opened(io.BytesIO):
    """The content of a file in place of the file; the reader's releases before 3 ask for a name."""

    name = "database"


def _sound_reader(content: bytes, kind: DatabaseKind) -> maxminddb.Reader:
    """A reader that has answered a few look-ups. Raises FileRefused."""
    try:
        reader = maxminddb.open_database(_Opened(content), maxminddb.MODE_FD)
        known = [record for address in _probes(reader) if isinstance(record := reader.get(address), dict)]
        fitting = not known or any(kind.name(record) for record in known)
    except _DAMAGE:
        raise FileRefused("not a sound MaxMind-format database") from None
    if not fitting:
        raise FileRefused(f"it holds no {kind.holds}")
    return reader


def _probes(reader: maxminddb.Reader) -> Iterator[IPv4Address | IPv6Address]:
    yield from (IPv4Address((2 * probe + 1) * (1 << 32) // (2 * PROBES_V4)) for probe in range(PROBES_V4))
    if reader.metadata().ip_version == 6:
        step = (1 << 125) // PROBES_V6
        yield from (IPv6Address((1 << 125) + probe * step + step // 2) for probe in range(PROBES_V6))


def _name_in(reader: maxminddb.Reader, kind: DatabaseKind, address: IPv4Address | IPv6Address) -> str | None:
    if address.version == 6 and reader.metadata().ip_version == 4:
        return None
    record = reader.get(address)
    return kind.name(record) if isinstance(record, dict) else None


def plain(bits: int, number: int) -> IPv4Address | IPv6Address | None:
    """The address to look up, unless no public client can have it."""
    if not is_global(bits, number):
        return None
    return IPv4Address(number) if bits == V4_BITS else IPv6Address(number)
