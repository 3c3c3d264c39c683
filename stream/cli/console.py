"""Output of the commands: results to stdout, messages to stderr."""

from __future__ import annotations

import io
import sys
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

FollowOption = Annotated[bool, typer.Option(help="Go on waiting for new ones.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout, everything else on stderr.")]


class ExitCode(IntEnum):
    DONE = 0
    FAILURE = 1
    WRONG_USE = 2
    UNREACHABLE = 3


def print_anywhere() -> None:
    """Console made safe: a character that its encoding doesn't have is replaced, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """JSON document printed on one line, flushed at once."""
    print_line(orjson.dumps(document))


def print_line(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def plain(text: str) -> str:
    """Text from outside, harmless on a terminal: no escape sequences, no second line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def say(message: str) -> None:
    """Progress printed for people."""
    err.print(message)


def fail(message: str) -> NoReturn:
    """The command ended with a complaint."""
    complain(message)
    raise typer.Exit(ExitCode.FAILURE) from None


def complain(message: str) -> None:
    err.print(Text.assemble(("error", "bold red"), ": ", plain(message)))
