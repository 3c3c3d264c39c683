"""Landlock: files, TCP and other processes taken away from a process and all that it starts, by the kernel's module.

Source: Linux, Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h. To be called before threads
are started: a ruleset holds for the calling thread and its children only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same number on every machine
_VERSION_FLAG, _PATH_BENEATH = 1, 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
#: Rights over files by the interface version that brought them: the first 13; moving files; truncate; ioctl on devices.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
#: bind and connect of TCP, from version 4; abstract sockets and signals to processes outside, from version 6.
_TCP, _SCOPES = 0b11, 0b11


class LayerMissing(Exception):
    """System that lacks a layer of confinement; the words say why."""


def allow_reading_only(paths: Iterable[str]) -> None:
    """Leave this process the right to read these files and folders, as far as they exist, and take away all other
    rights. Raises LayerMissing. The process can't gain privileges (PR_SET_NO_NEW_PRIVS) when this is called."""
    ruleset = _ruleset(version())
    try:
        for path in paths:
            with contextlib.suppress(OSError):  # one that isn't here can't be read either
                _add(ruleset, path)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def version() -> int:
    """The kernel's version of the interface, 1 or more. Raises LayerMissing."""
    if sys.platform != "linux":
        raise LayerMissing(f"not on {sys.platform}")
    return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)


def _ruleset(known: int) -> int:
    files = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= known)
    rights = struct.pack("=Q", files)
    if known >= 4:
        rights += struct.pack("=Q", _TCP)
    if known >= 6:
        rights += struct.pack("=Q", _SCOPES)
    return _call(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0)


def _add(ruleset: int, path: str) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(beneath).st_mode)
        rights = READ_FILE | READ_DIR if folder else READ_FILE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    answer: int = libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        why = {errno.ENOSYS: "not in this kernel", errno.EOPNOTSUPP: "off in this kernel"}
        raise LayerMissing(why.get(code, f"refused by the kernel: {errno.errorcode.get(code, code)}"))
    return answer
