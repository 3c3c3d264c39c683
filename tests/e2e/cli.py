"""`liveness` with an installation's settings: as a user runs it, or quicker, inside the test's own process."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

import orjson
from typer.testing import CliRunner

from stream.cli import app
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.warm import WarmProcess

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
    with TemporaryFile() as out, TemporaryFile() as err:
        settings = {**os.environ, **installation.environment}
        process = WarmProcess(["stream.cli", *arguments], settings, out.fileno(), err.fileno())
        try:
            await eventually(lambda: process.poll() is not None, "the command ends", WITHIN_S)
        finally:
            process.kill()
        out.seek(0), err.seek(0)
        return _as_expected(process.poll(), out.read(), err.read(), arguments, expect)


async def quick_liveness(installation: Installation, *arguments: str, expect: int = 0) -> Ran:
    """The same command without the second that a process takes to import everything."""
    async with _turn:
        result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=installation.environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return _as_expected(result.exit_code, result.stdout_bytes, result.stderr_bytes or b"", arguments, expect)


def _as_expected(code: int | None, out: bytes, err: bytes, arguments: tuple[str, ...], expect: int) -> Ran:
    assert code is not None
    ran = Ran(code=code, out=out, err=err.decode(errors="replace"))
    assert ran.code == expect, f"liveness {' '.join(arguments)}: {ran}"
    return ran
