"""Structured logs on stderr: JSON lines for machines, columns for people. No personal data, ever.

Only our own events and the libraries' warnings are shown.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from config.settings import LogSettings

#: Faust names its services after the module they are defined in, ours included.
_LIBRARIES = (
    *("faust", "mode", "aiokafka", "kafka", "asyncio", "redis", "aiohttp"),
    *("stream.kafka.app", "stream.kafka.transport"),
)


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
    handler = logging.StreamHandler(sys.stderr)
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


def _renderer(settings: LogSettings) -> Any:
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    if console:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer()
