"""The `liveness` command: one file a subcommand, each a thin layer over what the package does.

With `--json` stdout carries JSON alone (one object, or one a line for streams); all else goes to stderr.
Exit codes: 0 done, 1 the job found a failure, 2 wrong use or settings, 3 a service can't be reached.
"""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import typer

from config.errors import SettingsError
from detectors.pool import AnalyserRefused
from stream.bench.child import ChildFailed
from stream.bench.measurement import Unmeasurable
from stream.cli import (
    abuse,
    bench,
    check,
    config,
    demo,
    dev,
    evaluate,
    health,
    keys,
    models,
    notify,
    sessions,
    submit,
    tail,
    topics,
    worker,
)
from stream.cli.console import ExitCode, complain, print_anywhere
from stream.embedded.extra import ExtraMissing
from stream.embedded.session import WorkerDidNotStart
from stream.embedded.store import StoreDidNotStart
from stream.kafka.clients.clients import KafkaUnreachable, TopicMissing
from stream.kafka.clients.provisioning import ProvisioningError
from stream.runtime.patience import DependencyTimeout

app = typer.Typer(
    name="liveness",
    help="Event-driven face-liveness decisions over Kafka.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.command)
app.command("dev")(dev.command)
app.command("worker")(worker.command)
app.command("check")(check.command)
app.command("evaluate")(evaluate.command)
app.command("submit")(submit.command)
app.command("tail")(tail.command)
app.command("notify")(notify.command)
app.command("health")(health.command)
app.command("config")(config.command)
app.add_typer(topics.app, name="topics")
app.add_typer(abuse.app, name="abuse")
app.add_typer(sessions.app, name="sessions")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.command("bench")(bench.command)

#: Errors a user can mend or wait for, by exit code; any other error is a bug and shows its traceback.
_EXPECTED: tuple[tuple[type[Exception], ExitCode], ...] = (
    (SettingsError, ExitCode.WRONG_USE),
    (AnalyserRefused, ExitCode.WRONG_USE),
    (ExtraMissing, ExitCode.WRONG_USE),
    (TopicMissing, ExitCode.FAILURE),
    (ProvisioningError, ExitCode.FAILURE),
    (WorkerDidNotStart, ExitCode.FAILURE),
    (StoreDidNotStart, ExitCode.FAILURE),
    (ChildFailed, ExitCode.FAILURE),
    (Unmeasurable, ExitCode.FAILURE),
    (KafkaUnreachable, ExitCode.UNREACHABLE),
    (DependencyTimeout, ExitCode.UNREACHABLE),
)


def main() -> NoReturn:
    """Entry point: run the command, turn expected errors into one line and an exit code."""
    # Silences the client library about a broker that is away; the worker turns its logs on again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    print_anywhere()
    try:
        app()
    except tuple(kind for kind, _ in _EXPECTED) as error:
        complain(str(error))
        sys.exit(next(code for kind, code in _EXPECTED if isinstance(error, kind)))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
