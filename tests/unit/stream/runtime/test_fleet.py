"""Badges of a fleet: what is said, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.settings import Settings
from stream.bootstrap.fleet import badge
from stream.kafka.worker.worker import Role
from stream.runtime.fleet import Aspect, Badge, KeyMark, conflict, conflicts, differences
from stream.runtime.release import PACKAGES, release

NOW_MS = 1_800_000_000_000
SECRET = "of-an-installation-and-very-long-too"
K1 = KeyMark(since_ms=0, id="k1", check="1" * 16)
K2 = KeyMark(since_ms=0, id="k2", check="2" * 16)
K2_SOON, K2_LATER, K2_PAST = (replace(K2, since_ms=NOW_MS + shift) for shift in (1000, 2000, -1000))
K3_SOON = KeyMark(since_ms=NOW_MS + 1000, id="k3", check="3" * 16)
OTHER_K1 = replace(K1, check="4" * 16)
ONE = Badge(
    name="one",
    began_ms=1,
    roles=("detect",),
    key_prefix="liveness:",
    topic_prefix="",
    hash_keys=(K1,),
    policy="default 12ab",
    rules="34cd",
    release="0.1.0+56ef",
    signatures="off",
    session_keys=(K1,),
)
TWO = replace(ONE, name="two", began_ms=2)

#: Two sets of hash keys, and whether they are steps of one rotation.
KEYS = {
    "the same": ((K1,), (K1,), True),
    "neither": ((), (), True),
    "the next one added": ((K1,), (K1, K2_SOON), True),
    "its time moved": ((K1, K2_SOON), (K1, K2_LATER), True),
    "the former removed": ((K1, K2_PAST), (K2,), True),
    "the former removed too soon": ((K1, K2_SOON), (K2,), False),
    "forgotten on one": ((K1,), (K1, K2_PAST), False),
    "exchanged": ((K1,), (K2,), False),
    "two ways": ((K1, K2_SOON), (K1, K3_SOON), False),
    "another secret": ((K1,), (OTHER_K1,), False),
    "none on one": ((K1,), (), False),
    "hashes nothing": ((K1,), None, True),
}


@pytest.mark.parametrize(("here", "there", "together"), KEYS.values(), ids=KEYS)
def test_hash_keys(here, there, together):
    for ours, theirs in ((here, there), (there, here)):
        found = conflict(replace(ONE, hash_keys=ours), replace(TWO, hash_keys=theirs), NOW_MS)
        assert (found is None) == together
    differ = here != there and there is not None
    assert (Aspect.HASH_KEYS in differences([replace(ONE, hash_keys=here), replace(TWO, hash_keys=there)])) == differ


CHANGES = {
    Aspect.KEY_PREFIX: {"key_prefix": "other:"},
    Aspect.TOPIC_PREFIX: {"topic_prefix": "t."},
    Aspect.HASH_KEYS: {"hash_keys": (K1, K2_SOON)},
    Aspect.RECORD_KEYS: {"record_keys": (K1,), "unsigned_until_ms": NOW_MS + 1},
    Aspect.SIGNATURES: {"signatures": "required"},
    Aspect.SESSION_KEYS: {"session_keys": (K2,)},
    Aspect.POLICY: {"policy": "strict 78"},
    Aspect.RULES: {"rules": "90"},
    Aspect.RELEASE: {"release": "0.2.0+00"},
}


@pytest.mark.parametrize("aspect", Aspect)
def test_difference_in_words(aspect):
    other = replace(TWO, **CHANGES[aspect])
    (found,) = differences([other, ONE, replace(ONE, name="zero")]).items()
    assert found[0] is aspect
    assert f"{ONE.told()[aspect]} on one, zero" in found[1]
    assert f"{other.told()[aspect]} on two" in found[1]
    refused = conflict(other, ONE, NOW_MS)
    assert (refused is not None) == (aspect is Aspect.KEY_PREFIX)
    assert conflicts([ONE, other], NOW_MS) == ([f"two: {refused}"] if refused else [])


def test_alike():
    assert differences([]) == differences([ONE, TWO, replace(ONE, roles=("decide",))]) == {}
    assert conflicts([], NOW_MS) == []


def made(**changed: object) -> Badge:
    keys = [{"id": "k1", "secret": SECRET}]
    settings = Settings.model_validate({"abuse": {"hash_keys": keys}} | changed)
    policy = settings.policy()
    return badge(settings, policy, {Role.DETECT, Role.COMMAND})


def test_made_of_settings():
    ours = made()
    assert (ours.roles, ours.key_prefix, SECRET in str(ours)) == (("command", "detect"), "liveness:", False)
    assert ours.policy.startswith("signals ")
    assert conflict(ours, made(), NOW_MS) is None
    assert conflict(ours, made(abuse={"hash_keys": [{"id": "k1", "secret": SECRET + "!"}]}), NOW_MS)
    assert badge(Settings(), Settings().policy(), {Role.COMMAND}).hash_keys is None


def test_release_goes_by_code(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    before = release(tmp_path)
    (tmp_path / "abuse" / "new.py").write_text("")
    assert release(tmp_path) != before
