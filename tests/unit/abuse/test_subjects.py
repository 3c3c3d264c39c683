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


def hasher(*keys: HashKey, remember_ms: int = REMEMBER_MS) -> SubjectHasher:
    return SubjectHasher(keys or (FIRST,), remember_ms)


def test_subject_is_stable():
    assert hasher().address("bank-1", ADDRESS, 5) == hasher().address("bank-1", ADDRESS, 10**12)


def test_key_names_its_hash_key():
    for made in (
        hasher().address(None, ADDRESS, 0),
        hasher().device(None, DEVICE, 0),
        hasher().prefix(None, ADDRESS, 0),
    ):
        assert re.fullmatch(HASHED_KEY, made.key)
        assert made.key.startswith("k1-")
        assert made.former == ()


@pytest.mark.parametrize(
    "other",
    [
        hasher().address("bank-2", ADDRESS, 0),
        hasher().address(None, ADDRESS, 0),
        hasher().address("bank-1", "203.0.113.10", 0),
        hasher().prefix("bank-1", ADDRESS, 0),
        hasher().device("bank-1", ADDRESS, 0),
        hasher(HashKey(id="k1", secret=OTHER_SECRET)).address("bank-1", ADDRESS, 0),
    ],
    ids=["tenant", "no tenant", "address", "prefix", "device", "secret"],
)
def test_other_values_are_other_subjects(other):
    assert hasher().address("bank-1", ADDRESS, 0).key != other.key


def test_value_and_tenant_are_separate():
    one, other = hasher().device("a", "bc", 0), hasher().device("ab", "c", 0)
    assert one.key != other.key


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:CB00:7109", "203.0.113.9"),
        ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_spellings_are_one_subject(spelling, plain):
    assert plain_address(spelling) == plain_address(plain)
    for read in (hasher().address, hasher().prefix):
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
    assert (hasher().prefix(None, one, 0) == hasher().prefix(None, other, 0)) is same


def test_key_is_in_force_from_since():
    both = hasher(FIRST, SECOND)
    before, after = both.address(None, ADDRESS, ROTATED_MS - 1), both.address(None, ADDRESS, ROTATED_MS)
    assert before.keys == hasher().address(None, ADDRESS, 0).keys
    assert after.key.startswith("k2-")
    assert after.former == (before.key,)


def test_order_of_keys_is_irrelevant():
    given = hasher(SECOND, FIRST).address(None, ADDRESS, ROTATED_MS)
    assert given.keys == hasher(FIRST, SECOND).address(None, ADDRESS, ROTATED_MS).keys


def test_former_key_is_remembered():
    both = hasher(FIRST, SECOND)
    assert both.address(None, ADDRESS, ROTATED_MS + REMEMBER_MS - 1).former
    assert both.address(None, ADDRESS, ROTATED_MS + REMEMBER_MS).former == ()


def test_former_keys_are_newest_first():
    third = HashKey(id="k3", secret=b"third", since_ms=ROTATED_MS + 10)
    keys = hasher(FIRST, SECOND, third).address(None, ADDRESS, ROTATED_MS + 20).keys
    assert [key.split("-")[0] for key in keys] == ["k3", "k2", "k1"]


def test_negative_time_uses_the_first_key():
    assert hasher(FIRST, SECOND).address(None, ADDRESS, -5).key.startswith("k1-")


@pytest.mark.parametrize(
    "keys",
    [(), (SECOND,), (FIRST, HashKey(id="k2", secret=OTHER_SECRET)), (HashKey(id="k1", secret=SECRET, since_ms=-1),)],
)
def test_ambiguous_keys_are_refused(keys):
    with pytest.raises(ValueError, match="exactly one key"):
        SubjectHasher(keys, 0)


def test_repr_hides_secrets_and_values():
    made = hasher(FIRST, SECOND).address("bank-1", ADDRESS, ROTATED_MS), hasher().device("bank-1", DEVICE, 0)
    shown = repr((made, FIRST, SECOND, hasher(FIRST, SECOND)))
    for private in (SECRET.decode(), OTHER_SECRET.decode(), ADDRESS, DEVICE):
        assert private not in shown


@given(st.ip_addresses(), st.integers(0, 10**13))
def test_address_and_prefix_differ(address, at_ms):
    made = hasher(FIRST, SECOND)
    assert made.address(None, str(address), at_ms).key != made.prefix(None, str(address), at_ms).key


def test_former_keys_are_no_identity():
    assert Subject(type=SubjectType.DEVICE, key="k1-a", former=("k0-b",)) == Subject(
        type=SubjectType.DEVICE, key="k1-a"
    )
    assert correlation("c").keys == ("c",)
