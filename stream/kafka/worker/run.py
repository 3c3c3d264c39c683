"""A worker run in this process until a signal stops it."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

import faust
import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError

from stream.kafka.agents import trial
from stream.kafka.clients.security import AUTHORIZATION, lacking
from stream.kafka.exit_codes import EXIT_BUG, EXIT_SETTINGS, EXIT_UNREACHABLE
from stream.kafka.worker.worker import Worker
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
    process = _Process(worker)
    try:
        process.execute_from_commandline()
    except SystemExit as end:
        if process.told_to_stop and not end.code:
            raise
        code, event, reason = _end(end.__context__)
        log.critical(event, **reason)
        sys.exit(code)
    finally:
        logs.end()


class _Process(faust.Worker):
    """Faust's process of a worker."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(
            worker.app, override_logging=False, redirect_stdouts=False, quiet=True, stdout=sys.stderr, stderr=sys.stderr
        )
        self._worker = worker
        # The spinner would write terminal codes into logs.
        self.spinner = None

    @property
    def told_to_stop(self) -> bool:
        """Whether a signal asked for the stop. Faust ends with 0, too, after a start that was cancelled from within."""
        return self._signal_stop_time is not None

    def on_worker_shutdown(self) -> None:
        """Called when a stop begins, whatever the reason; what goes wrong afterwards does not change the exit code."""
        if not self.told_to_stop:
            self._worker.leave_code, *_ = _end(sys.exception() or self.crash_reason)


def _end(ended_by: BaseException | None) -> tuple[int, str, dict[str, str]]:
    """Exit code of an end that no signal asked for, with the log's event and reason. Faust logs other exceptions."""
    if isinstance(ended_by, AUTHORIZATION):
        return EXIT_SETTINGS, "wrong_settings", {"why": lacking(ended_by)}
    if (away := _who_was_away(ended_by)) is not None:
        return EXIT_UNREACHABLE, "gave_up_waiting", {"why": away}
    return EXIT_BUG, "ended_untold", {"error": type(ended_by).__name__}


def _who_was_away(ended_by: BaseException | None) -> str | None:
    """Dependency for want of which the worker ended, in words; None for other causes. Faust ends with 1 for any."""
    if isinstance(ended_by, DependencyTimeout):
        return str(ended_by)
    if isinstance(ended_by, KafkaConnectionError):  # gone between the look at its topics and the join
        return "kafka did not answer while the worker started"
    if isinstance(ended_by, KafkaError) and ended_by.retriable:
        return f"kafka answered {type(ended_by).__name__}"
    return None
