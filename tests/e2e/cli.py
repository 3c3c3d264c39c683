"""`liveness` with an installation's settings: as a user runs it, or quicker, inside the test's own process."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any

import orjson
from typer.testing import CliRunner

from stream.cli import app
from tests.e2e.installation import Installation
from tests.e2e.workers import REPOSITORY

WITHIN_S = 60.0
#: Output and environment are the process's: one command at a time.
_turn = asyncio.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line of stdout as the JSON it must be."""
        return [orjson.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> dict[str, Any]:
        (line,) = self.lines
        return line


async def liveness(installation: Installation, *arguments: str, expect: int = 0) -> Ran:
    """A process of its own, run to the end; fails on another exit code than expected."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stream.cli",
        *arguments,
        cwd=REPOSITORY,
        env={**os.environ, **installation.environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return _as_expected(process.returncode, out, err, arguments, expect)


async def quick_liveness(installation: Installation, *arguments: str, expect: int = 0) -> Ran:
    """The same command without the second that a process takes to import everything."""
    async with _turn:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=installation.environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return _as_expected(result.exit_code, result.stdout_bytes, result.stderr_bytes or b"", arguments, expect)


def _as_expected(code: int, out: bytes, err: bytes, arguments: tuple[str, ...], expect: int) -> Ran:
    ran = Ran(code=code, out=out, err=err.decode(errors="replace"))
    assert ran.code == expect, f"liveness {' '.join(arguments)}: {ran}"
    return ran
