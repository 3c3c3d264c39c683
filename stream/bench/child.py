"""Child process that answers JSON lines: orders on its stdin, answers on its stdout, gone with its parent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

import orjson

STOP_TIMEOUT_S = 10.0


class ChildFailed(Exception):
    """Child process ended instead of answering."""


class Child:
    """Child process `python -m module`; the plan is its first order."""

    def __init__(self, module: str, plan: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # native libraries chatter; what went wrong comes as an answer
            env=dict(environment),
        )
        self.order(plan)

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, document: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(document) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self) -> dict[str, Any]:
        """Next answer, waited for. Raises ChildFailed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = orjson.loads(line)
        if "failed" in answer:
            raise ChildFailed(f"{self._module}: {answer['failed']}")
        return answer

    def _ended(self) -> ChildFailed:
        return ChildFailed(f"{self._module} ended with code {self._process.wait()}")

    def __exit__(self, *_: object) -> None:
        """Child ended by closing its stdin, killed if still running after a while."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self


def serve(build: Callable[[dict[str, Any]], Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """The child's side: build the answerer from the plan, say so, then answer orders until stdin ends."""
    orders = iter(sys.stdin.buffer.readline, b"")
    try:
        answer = build(orjson.loads(next(orders)))
        _reply({"ready": True})
        for order in orders:
            _reply(answer(orjson.loads(order)))
    except Exception as error:
        _reply({"failed": f"{type(error).__name__}: {error}"[:500]})
        raise SystemExit(1) from error


def _reply(document: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
    sys.stdout.buffer.flush()
