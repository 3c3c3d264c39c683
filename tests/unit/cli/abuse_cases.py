"""Runs of `liveness abuse`, and hostile text."""

from __future__ import annotations

from click.testing import Result
from typer.testing import CliRunner

from stream import cli

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["abuse", *words])


def harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


def said(result: Result) -> str:
    """Words of a command, without the frame and line ends that a terminal's width brings about."""
    return " ".join(result.output.replace("\u2502", " ").split())
