"""Model files from a mirror folder or from their homes: bounded, resumed where a fetch broke off, SHA-256 checked."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import IO

from detectors.onnx.files import ModelFileUnusable, read_model, write_model

#: Far above any network described here.
MAX_FETCHED_BYTES = 256 * 1024 * 1024
ANSWER_WITHIN_S = 15.0
_PIECE = 256 * 1024

#: Called with bytes there are so far, and in all (None where the home doesn't say).
Progress = Callable[[int, int | None], None]


class NotFetched(Exception):
    """Fetch that brought no file; the words say why."""


def is_ready(file: Path, sha256: str) -> bool:
    """Whether the file is there and is the expected one."""
    try:
        read_model(file, sha256)
    except ModelFileUnusable:
        return False
    return True


def copy_from(mirror: Path, target: Path, sha256: str) -> None:
    """Copy the file of the target's name out of a mirror folder. Raises NotFetched; may be repeated."""
    try:
        write_model(target, read_model(mirror / target.name, sha256))
    except (ModelFileUnusable, OSError) as error:
        raise NotFetched(str(error)) from None


def download(home: str, target: Path, sha256: str, progress: Progress) -> None:
    """Download the file from its home; what a broken-off download left is kept and completed by the next. Raises
    NotFetched; may be repeated."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            _append(home, file, progress)
        contents = part.read_bytes()
        if hashlib.sha256(contents).hexdigest() != sha256:
            part.unlink()
            raise NotFetched(f"{home} has another SHA-256 than expected")
        write_model(target, contents)
        part.unlink()
    except urllib.error.HTTPError as error:
        raise NotFetched(f"{home} answers {error.code}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise NotFetched(f"{home} can't be reached ({type(reason).__name__})") from None


def _append(home: str, file: IO[bytes], progress: Progress) -> None:
    """Append what the file lacks; a home that can't resume sends all of it anew."""
    have = file.tell()
    request = urllib.request.Request(home, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310  # ours
    try:
        answer = urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S)  # noqa: S310  # ours
    except urllib.error.HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the hash tells
        raise
    with answer:
        if have and answer.status != HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            have = 0
        told = answer.headers.get("Content-Length", "")
        total = have + int(told) if told.isdecimal() else None
        while piece := answer.read(_PIECE):
            have += len(piece)
            if have > MAX_FETCHED_BYTES:
                file.truncate(0)
                raise NotFetched(f"{home} sends more than {MAX_FETCHED_BYTES} bytes")
            file.write(piece)
            progress(have, total)
        if total is not None and have < total:
            raise NotFetched(f"{home} broke off after {have} of {total} bytes; repeat to go on")
