"""Structured logs on stderr: JSON lines for machines, columns for people. No personal data, ever.

Only our own events and the libraries' warnings are shown.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, TextIO

import structlog

from config.groups.services import LogSettings
from stream.runtime import metrics

#: Faust names its services after the module they are defined in, ours included.
_LIBRARIES = (
    *("faust", "mode", "aiokafka", "kafka", "asyncio", "redis", "aiohttp"),
    *("stream.kafka.consumer.app", "stream.kafka.consumer.transport"),
)
#: Messages alike: of one logger, with the same beginning; how many different ones are remembered.
SAME_WORDS, ONE_IN_S, MOST_ALIKE = 40, 10.0, 1000


def configure(settings: LogSettings) -> None:
    """Route structlog and the standard library's logging through one formatter to stderr."""
    level = getattr(logging, settings.level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stderr)
    handler.addFilter(_Dampening())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(settings),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def end() -> None:
    """The log written out, as the last step of a process. What a full disk doesn't take is left out: an error would
    keep a worker from ending, or change its exit code."""
    logging.shutdown()
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the interpreter writes out what is left


class _Handler(logging.StreamHandler[TextIO]):
    """Handler whose lines may be lost, on a full disk or without a reader: work goes on, and the loss is counted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        if isinstance(sys.exc_info()[1], OSError):
            metrics.LOG_LINES_LOST.inc()
        else:
            super().handleError(record)


class _Dampening(logging.Filter):
    """Filter of library messages: of those alike, one in ten seconds. A client without its broker says so every second,
    for each connection."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_LIBRARIES) or not isinstance(record.msg, str):
            return True
        alike = (record.name, record.msg[:SAME_WORDS])
        said, left_out = self._last.get(alike, (-ONE_IN_S, 0))
        if record.created - said < ONE_IN_S:
            self._last[alike] = (said, left_out + 1)
            return False
        if len(self._last) >= MOST_ALIKE:
            self._last.clear()
        self._last[alike] = (record.created, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like this)"
        return True


def _renderer(settings: LogSettings) -> Any:
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    if console:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()
