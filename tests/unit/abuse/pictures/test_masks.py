"""Masks of perceptual hashes: each tenant's is known, and small however many tenants are named."""

from __future__ import annotations

import tracemalloc

import pytest

from abuse.keys.key_periods import HashKey
from abuse.pictures.media_keys import MediaKeys

#: Tenant and perceptual hash, and the keyed one as stored since the first release: another would make a stored picture
#: a stranger.
KNOWN = [
    (None, 0, 8654931193750388155),
    (None, (1 << 64) - 1, 9791812879959163460),
    ("acme", 1, 11970396514662186695),
    ("acme", 1 << 63, 11970405310688100039),
    ("bank-1", 0xDEADBEEF01234567, 12967996660439518209),
    ("ü", 0x8000000080000001, 10304215761551951327),
]


def keys() -> MediaKeys:
    return MediaKeys([HashKey(id="k1", secret=b"1" * 32)], 100)


@pytest.mark.parametrize(("tenant", "perceptual", "expected"), KNOWN)
def test_masked_hash_is_known(tenant, perceptual, expected):
    assert keys().hashes(tenant, "aa", "bb", perceptual, 0)[0].perceptual == expected


def test_new_tenants_cost_little():
    """A table for each byte of a hash took 100 KB and four milliseconds for each tenant that anybody named."""
    applied = keys()
    tracemalloc.start()
    for number in range(100):
        applied.hashes(f"tenant-{number}", "aa", "bb", 1, 0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000
