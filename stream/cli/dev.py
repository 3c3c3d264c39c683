"""`liveness dev`: an embedded installation that stays up, for building against it from other terminals."""

from __future__ import annotations

import shlex
import signal
import threading

from stream.cli.console import JsonOption, out, plain, print_json, say
from stream.embedded import broker, extra, store
from stream.embedded.session import EmbeddedServices, WorkerProcess


def command(json: JsonOption = False) -> None:
    """Run broker, store and worker in one go until Ctrl-C; print the settings that lead to them."""
    extra.require()
    say(f"Embedded broker: {broker.LIMITS}. Embedded store: {store.LIMITS}.")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with EmbeddedServices() as services, WorkerProcess(services.environment):
        _show(services.environment, json)
        stopped.wait()


def _show(environment: dict[str, str], json: bool) -> None:
    if json:
        print_json(environment)
        return
    say("Ready. In another terminal:")
    for name, value in environment.items():
        out.print(plain(f"export {name}={shlex.quote(value)}"), markup=False, soft_wrap=True)
    say("then: .venv/bin/liveness submit selfie.jpg    .venv/bin/liveness tail")
