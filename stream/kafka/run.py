"""A worker run in this process until a signal stops it."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

import faust
import structlog
from aiokafka.errors import KafkaConnectionError

from stream.kafka import trial
from stream.kafka.exit_codes import EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.kafka.security import AUTHORIZATION, lacking
from stream.kafka.worker import Worker
from stream.runtime import logs
from stream.runtime.patience import DependencyTimeout
from stream.runtime.process import freeze_loaded_objects, yield_to_slots

log = structlog.get_logger()


def run(worker: Worker) -> NoReturn:
    """Run a worker, or a worker's trial; ends the process with 0 after a stop, 1 after a bug, 2 for want of a right, 3
    when a dependency stayed away."""
    yield_to_slots()
    freeze_loaded_objects()
    if (socket := trial.inherited_socket()) is not None:
        structlog.contextvars.bind_contextvars(process="trial")
        asyncio.run(worker.serve_trial(socket))
        logs.end()
        sys.exit()
    process = faust.Worker(
        worker.app, override_logging=False, redirect_stdouts=False, quiet=True, stdout=sys.stderr, stderr=sys.stderr
    )
    # The spinner would write terminal codes into logs.
    process.spinner = None
    try:
        process.execute_from_commandline()
    except SystemExit as end:
        if isinstance(end.__context__, AUTHORIZATION):
            log.critical("wrong_settings", why=lacking(end.__context__))
            sys.exit(EXIT_SETTINGS)
        away = _who_was_away(end.__context__)
        if away is None:
            raise
        log.critical("gave_up_waiting", why=away)
        sys.exit(EXIT_UNREACHABLE)
    finally:
        logs.end()


def _who_was_away(ended_by: BaseException | None) -> str | None:
    """Dependency for want of which a start failed, in words; None for other causes. Faust ends with 1 for any."""
    if isinstance(ended_by, DependencyTimeout):
        return str(ended_by)
    if isinstance(ended_by, KafkaConnectionError):  # gone between the look at its topics and the join
        return "kafka did not answer while the worker started"
    return None
