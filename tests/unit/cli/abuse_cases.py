"""For tests of `liveness abuse`: one run of it, and hostile text."""

from __future__ import annotations

from click.testing import Result
from typer.testing import CliRunner

from stream import cli

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["abuse", *words])


def harmless(text: str) -> bool:
    """Nothing a terminal would obey, and no line but those we wrote."""
    return all(c.isprintable() or c == "\n" for c in text)


def said(result: Result) -> str:
    """What a command said, without the frame and the line ends that a terminal's width brings about."""
    return " ".join(result.output.replace("\u2502", " ").split())
