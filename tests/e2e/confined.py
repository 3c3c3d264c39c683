"""Python under the image's seccomp profile, as a container engine lays it on: python -m tests.e2e.confined ARGUMENTS...

The profile becomes a filter of this process by libseccomp, as with runc; then the process becomes `python ARGUMENTS`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import sys
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).resolve().parents[2] / "deploy" / "seccomp.json"
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
COMPARISONS = {"SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}


class Comparison(ctypes.Structure):
    """libseccomp's `scmp_arg_cmp`."""

    _fields_ = (
        *(("arg", ctypes.c_uint), ("op", ctypes.c_int)),
        *(("datum_a", ctypes.c_uint64), ("datum_b", ctypes.c_uint64)),
    )


def library() -> ctypes.CDLL:
    """libseccomp, or an OSError that says so; Debian has it wherever there is apt."""
    found = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2", use_errno=True)
    found.seccomp_init.restype = ctypes.c_void_p
    found.seccomp_init.argtypes = (ctypes.c_uint32,)
    found.seccomp_load.argtypes = (ctypes.c_void_p,)
    found.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(Comparison),
    )
    return found


def number(name: str) -> int:
    """A call's number on this machine; negative where there is none."""
    return int(library().seccomp_syscall_resolve_name(name.encode()))


def confine(profile: dict[str, Any]) -> None:
    """Lay the profile on this process and all that come from it, for good."""
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    seccomp = library()
    filters = seccomp.seccomp_init(ERRNO | profile["defaultErrnoRet"])
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW"
        arguments = [
            Comparison(each["index"], COMPARISONS[each["op"]], each["value"], each["valueTwo"])
            for each in rule.get("args", ())
        ]
        given = (Comparison * len(arguments))(*arguments)
        for call in filter(lambda each: each >= 0, map(number, rule["names"])):
            assert seccomp.seccomp_rule_add_array(filters, ALLOW, call, len(arguments), given) == 0, rule
    assert seccomp.seccomp_load(filters) == 0


if __name__ == "__main__":
    confine(json.loads(PROFILE.read_text()))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
