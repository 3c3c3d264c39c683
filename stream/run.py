"""Run a worker in this process until it is told to stop."""

from __future__ import annotations

import sys
from typing import NoReturn

import faust

from stream.worker import Worker


def run(worker: Worker) -> NoReturn:
    """Blocks; ends the process with 0 after a stop, 1 after a bug, 3 when a service stayed away."""
    faust.Worker(
        worker.app,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        # Faust writes terminal codes to its stdout; ours belongs to the caller.
        stdout=sys.stderr,
        stderr=sys.stderr,
    ).execute_from_commandline()
