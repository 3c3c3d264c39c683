"""Subjects: the same in every process, different for every tenant and secret, and revealing nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abuse.keys.key_periods import HashKey
from abuse.keys.subject_hasher import SubjectHasher, plain_address
from abuse.subjects import HASHED_KEY, Subject, SubjectType, correlation

SECRET, OTHER_SECRET = b"first-secret-of-the-tests", b"second-secret-of-the-tests"
ADDRESS, DEVICE = "203.0.113.9", "Zebra-Phone"
FIRST = HashKey(id="k1", secret=SECRET)
ROTATED_MS, REMEMBER_MS = 1_000_000, 5_000
SECOND = HashKey(id="k2", secret=OTHER_SECRET, since_ms=ROTATED_MS)
THIRD = HashKey(id="k3", secret=b"third", since_ms=ROTATED_MS + 10)


def hasher(*keys: HashKey) -> SubjectHasher:
    return SubjectHasher(keys or (FIRST,), REMEMBER_MS)


ONE, BOTH = hasher(), hasher(FIRST, SECOND)


def test_key_is_stable_and_names_its_hash_key():
    assert ONE.address("bank-1", ADDRESS, 5) == hasher().address("bank-1", ADDRESS, 10**12)
    for made in (ONE.address(None, ADDRESS, 0), ONE.device(None, DEVICE, 0), ONE.prefix(None, ADDRESS, 0)):
        assert re.fullmatch(HASHED_KEY, made.key)
        assert (made.key[:3], made.former) == ("k1-", ())


def test_other_values_are_other_subjects():
    made = {
        ONE.address("bank-1", ADDRESS, 0).key,
        ONE.address("bank-2", ADDRESS, 0).key,
        ONE.address(None, ADDRESS, 0).key,
        ONE.address("bank-1", "203.0.113.10", 0).key,
        ONE.prefix("bank-1", ADDRESS, 0).key,
        ONE.device("bank-1", ADDRESS, 0).key,
        hasher(HashKey(id="k1", secret=OTHER_SECRET)).address("bank-1", ADDRESS, 0).key,
        ONE.device("a", "bc", 0).key,
        ONE.device("ab", "c", 0).key,
    }
    assert len(made) == 9


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        *(("::ffff:203.0.113.9", "203.0.113.9"), ("::FFFF:CB00:7109", "203.0.113.9")),
        *(("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"), ("2001:DB8::1", "2001:db8::1")),
    ],
)
def test_spellings_are_one_subject(spelling, plain):
    assert plain_address(spelling) == plain_address(plain)
    for read in (ONE.address, ONE.prefix):
        assert read("bank-1", spelling, 0) == read("bank-1", plain, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.0", "203.0.113.255", True),
        ("203.0.113.255", "203.0.114.0", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.9", "::ffff:203.0.114.9", False),
    ],
)
def test_prefix_has_24_or_64_bits(one, other, same):
    assert (ONE.prefix(None, one, 0) == ONE.prefix(None, other, 0)) is same


@pytest.mark.parametrize(
    ("at_ms", "ids"),
    [
        *((-5, ["k1"]), (ROTATED_MS - 1, ["k1"]), (ROTATED_MS, ["k2", "k1"]), (ROTATED_MS + 20, ["k3", "k2", "k1"])),
        *((ROTATED_MS + REMEMBER_MS - 1, ["k3", "k2", "k1"]), (ROTATED_MS + REMEMBER_MS, ["k3", "k2"])),
    ],
)
def test_key_in_force_then_former_keys(at_ms, ids):
    """The keys may be given in any order."""
    keys = hasher(THIRD, FIRST, SECOND).address(None, ADDRESS, at_ms).keys
    assert [key.split("-")[0] for key in keys] == ids
    assert keys == hasher(FIRST, SECOND, THIRD).address(None, ADDRESS, at_ms).keys
    assert ids[-1] != "k1" or keys[-1] == ONE.address(None, ADDRESS, 0).key


@pytest.mark.parametrize(
    "keys",
    [(), (SECOND,), (FIRST, HashKey(id="k2", secret=OTHER_SECRET)), (HashKey(id="k1", secret=SECRET, since_ms=-1),)],
)
def test_ambiguous_keys_are_refused(keys):
    with pytest.raises(ValueError, match="exactly one key"):
        SubjectHasher(keys, 0)


def test_repr_hides_secrets_and_values():
    made = BOTH.address("bank-1", ADDRESS, ROTATED_MS), ONE.device("bank-1", DEVICE, 0)
    shown = repr((made, FIRST, SECOND, BOTH))
    assert not [each for each in (SECRET.decode(), OTHER_SECRET.decode(), ADDRESS, DEVICE) if each in shown]


@given(st.ip_addresses(), st.integers(0, 10**13))
def test_address_and_prefix_differ(address, at_ms):
    assert BOTH.address(None, str(address), at_ms).key != BOTH.prefix(None, str(address), at_ms).key


def test_former_keys_are_no_identity():
    made = Subject(type=SubjectType.DEVICE, key="k1-a", former=("k0-b",))
    assert made == Subject(type=SubjectType.DEVICE, key="k1-a")
    assert correlation("c").keys == ("c",)
