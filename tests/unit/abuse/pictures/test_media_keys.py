"""Keyed image hashes: distances survive, and nothing else does without the secret."""

from __future__ import annotations

import random

import pytest

from abuse.keys.key_periods import HashKey
from abuse.pictures.media_keys import KeyedImageHashes, MediaKeys

ONE = HashKey(id="k1", secret=b"1" * 32)
KEYS = MediaKeys([ONE, HashKey(id="k2", secret=b"2" * 32, since_ms=1000)], 100)
OTHER_SECRET = MediaKeys([HashKey(id="k1", secret=b"9" * 32)], 0)
GOLDEN = KeyedImageHashes(
    key_id="k1", bytes=15904929483705413459, pixels=3271170370888584739, perceptual=3960747114108977429
)


def hashes(
    perceptual: int = 0, tenant: str | None = "acme", at_ms: int = 0, keys: MediaKeys = KEYS
) -> KeyedImageHashes:
    return keys.hashes(tenant, "aa" * 32, "aa" * 32, perceptual, at_ms)[0]


def test_distances_survive():
    chance = random.Random(1)
    for _ in range(200):
        one, other = chance.getrandbits(64), chance.getrandbits(64)
        kept = hashes(one).perceptual ^ hashes(other).perceptual
        assert kept.bit_count() == (one ^ other).bit_count()


def test_bits_are_permuted():
    moved = [hashes(1 << bit).perceptual ^ hashes(0).perceptual for bit in range(64)]
    assert sorted(moved) == [1 << bit for bit in range(64)]
    assert moved != sorted(moved)


@pytest.mark.parametrize("changed", [{"tenant": None}, {"tenant": "other"}, {"at_ms": 1000}, {"keys": OTHER_SECRET}])
def test_other_names_make_other_hashes(changed):
    mine, other = hashes(), hashes(**changed)
    assert len({mine.bytes, mine.pixels, other.bytes, other.pixels}) == 4, "the same digest of bytes and pixels too"
    assert mine.perceptual != other.perceptual
    assert mine.perceptual not in (0, (1 << 64) - 1)


def test_hashes_are_known():
    assert hashes(0x0123456789ABCDEF) == GOLDEN
    assert KEYS.hashes("acme", "AA" * 32, "aa" * 32, 0, 0)[0] == hashes(), "hex of either case"


@pytest.mark.parametrize(
    ("at_ms", "expected"), [(0, ["k1"]), (950, ["k1", "k2"]), (1000, ["k2", "k1"]), (1101, ["k2"])]
)
def test_key_in_force_comes_first(at_ms, expected):
    assert [each.key_id for each in KEYS.hashes(None, "aa", "bb", 0, at_ms)] == expected
