"""Settings of the abuse table: hash keys, lists and sizes. Limits of the rules are in the policy."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from config.legal_values import Group, HashKeys, SpanHours


class AbuseSettings(Group):
    """Hash keys, lists and sizes of the abuse table; limits of the rules are in the policy."""

    hash_keys: HashKeys = ()
    """Secrets of the keyed hash for addresses and devices, JSON: [{"id", "secret", "since"}]. Unset: neither is \
observed."""
    faces_an_hour: int = Field(25_000, ge=1, le=2_500_000)
    """Has no effect any more: keys of Redis that are full are followed by further ones."""
    face_span_h: SpanHours = 24
    """Hours of one Redis key of faces: 1, 2, 3, 4, 6, 8, 12 or 24. Shorter lets faces expire closer to the \
window's end; a search takes nearly twice as long with twice the keys."""
    face_search_s: float = Field(0.25, gt=0, le=5)
    """A look for the same face begins no further search after so long; the newest hours are searched first."""
    face_mirror_mib: int = Field(64, ge=0, le=16_384)
    """Memory of a worker for copies of large keys of faces, MiB: 100,000 faces take 16. What has no room is \
searched by Redis alone, which takes longer; 0 keeps none."""
    network_lists: Path | None = None
    """Folder of netset files, one network or address a line; a file's name without its ending is the list's name."""
    network_list_max_age_days: float = Field(14.0, gt=0)
    """A list older than this (its own date line, else the file's) is left out, and the worker says so."""
    network_list_reload_s: float = Field(30.0, gt=0)
    """How often the lists are looked at for changes."""
    asn_database: Path | None = None
    """MaxMind-format database of autonomous systems."""
    country_database: Path | None = None
    """MaxMind-format database of countries."""
    sweep_s: float = Field(5.0, gt=0)
    """How often flags are looked at that may have expired."""
