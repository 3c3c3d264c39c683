"""Prerequisites: what the services need from the machine, the errors that say so, and how progress is told.

Standard output carries only answers (the `LIVENESS_...=` lines), so that `make services-up` can be evaluated
by a shell; everything a person reads goes to standard error through `say`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM_JAVA = 17
"""Kafka 4.x brokers are compiled for Java 17."""

JAVA_PACKAGE = "openjdk-17-jre-headless"


class ServicesError(Exception):
    """Failure of a command; the text is meant for the person at the terminal."""

    exit_code = 1


class WrongUseError(ServicesError):
    """The command can't be meant this way (for example: start again what was never started)."""

    exit_code = 2


class MissingError(ServicesError):
    """A program, package or address is needed and isn't there."""

    exit_code = 3


def say(text: str) -> None:
    """Tell progress, without touching standard output."""
    print(f"services: {text}", file=sys.stderr, flush=True)


def parse_java_major(version_text: str) -> int | None:
    """Major version from what `java -version` prints; "1.8.0" is Java 8."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', version_text)
    if match is None:
        return None
    major = int(match.group(1))
    return int(match.group(2) or 0) if major == 1 else major


def find_java() -> str:
    """A Java runtime new enough for the broker: JAVA_HOME's when it is, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    candidates = [shutil.which("java", path=str(Path(home) / "bin"))] if home else []
    candidates.append(shutil.which("java"))
    found: list[str] = []
    for candidate in filter(None, candidates):
        major = parse_java_major(output_of([candidate, "-version"]))
        if major is not None and major >= MINIMUM_JAVA:
            return candidate
        found.append(f"{candidate} is {'of an unknown version' if major is None else f'Java {major}'}")
    seen = "; ".join(found) or "java was not found on PATH"
    raise MissingError(
        f"Kafka needs Java {MINIMUM_JAVA} or newer: {seen}. On Debian 12: apt-get install {JAVA_PACKAGE}; "
        "on newer ones: apt-get install default-jre-headless"
    )


def output_of(command: list[str]) -> str:
    """Both outputs of a short command, or nothing when it can't run: the caller judges the text."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def run_step(command: list[str], failure: ServicesError, quiet: bool = False) -> None:
    """Run a long command with its output on standard error, or its errors only; raise `failure` unless it succeeds."""
    output = subprocess.DEVNULL if quiet else sys.stderr
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, check=False).returncode != 0:
        raise failure
