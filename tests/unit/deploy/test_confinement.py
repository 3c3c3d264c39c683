"""The confinement of the image's containers: read-only, no capability, no new privilege, and the seccomp profile.

`tests/e2e/test_confined.py` runs a worker under the profile.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.deploy.test_image_files import ROOT, compose, read

PROFILE: dict[str, Any] = json.loads(read("deploy/seccomp.json"))
CALLS = [name for rule in PROFILE["syscalls"] for name in rule["names"]]
#: Flags of clone that make namespaces, as in Docker's default profile (CLONE_NEWNS, NEWCGROUP, NEWUTS, ... NEWNET).
NAMESPACES = 0x7E020000
FAMILIES = {1: "unix", 2: "inet", 10: "inet6", 16: "netlink: getaddrinfo asks which addresses this machine has"}
#: Calls by which slots confine themselves further, hand pictures over, and are supervised.
OF_SLOTS = {
    "seccomp",
    "prctl",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "memfd_create",
}


def test_profile_denies_by_default() -> None:
    """A call that isn't named doesn't exist (ENOSYS), so that C libraries fall back instead of failing."""
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert {rule["action"] for rule in PROFILE["syscalls"]} == {"SCMP_ACT_ALLOW"}
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in CALLS)
    assert set(CALLS) >= OF_SLOTS
    assert {name for name in CALLS if CALLS.count(name) > 1} == {"socket"}, "no other rule widens one with a condition"


def test_profile_limits_by_argument() -> None:
    limited = {
        (name, each["value"], each["op"], each["index"], each["valueTwo"])
        for rule in PROFILE["syscalls"]
        for each in rule.get("args", ())
        for name in rule["names"]
    }
    assert limited == {("clone", NAMESPACES, "SCMP_CMP_MASKED_EQ", 0, 0)} | {
        ("socket", family, "SCMP_CMP_EQ", 0, 0) for family in FAMILIES
    }
    assert all(rule.get("args") for rule in PROFILE["syscalls"] if {"clone", "socket"} & set(rule["names"]))


def secure_worker() -> str:
    return read("deploy/compose.secure.yaml").partition("\nsecrets:")[0]


RUNS = {
    "compose.yaml": lambda: compose("worker"),
    "compose.yaml, topics": lambda: compose("topics"),
    "compose.secure.yaml": secure_worker,
}


@pytest.mark.parametrize("name", RUNS)
def test_containers_are_confined(name: str) -> None:
    lines = set(map(str.strip, RUNS[name]().splitlines()))
    assert {"read_only: true", "cap_drop: [ALL]", "init: true"} <= lines
    assert 'security_opt: ["no-new-privileges:true", "seccomp:./seccomp.json"]' in lines
    assert any(re.fullmatch(r"- /tmp:size=\d+m,mode=1777,noexec,nosuid,nodev", line) for line in lines)
    assert not any(re.match("(privileged|cap_add|user|devices|pid|ipc|network_mode):", line) for line in lines)


@pytest.mark.parametrize("file", ["deploy/check_image.py", "deploy/README.md"])
def test_same_by_hand(file: str) -> None:
    """The check of the image, and the command that the documents show."""
    words = " ".join(re.sub(r"[\"',()\\\n]|\bf\"", " ", read(file)).split())
    for option in ("--read-only", "--tmpfs /tmp:size=64m", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert option in words
    assert re.search(r"--security-opt (f )?seccomp=.{0,12}seccomp\.json", words)
    assert (ROOT / "deploy" / "seccomp.json").is_file()
