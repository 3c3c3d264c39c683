"""Run a worker in this process until it is told to stop."""

from __future__ import annotations

import sys
from typing import NoReturn

import faust

from stream.worker import Worker


def run(worker: Worker) -> NoReturn:
    """Blocks; ends the process with 0 after a stop, 1 after a bug, 3 when a service stayed away."""
    process = faust.Worker(
        worker.app,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    # It would write terminal codes into logs.
    process.spinner = None
    process.execute_from_commandline()
