"""`liveness demo`: the main job on an embedded broker and store, on real photographs, shown as it happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from config import policy as policies
from config import settings as configuration
from stream.cli.console import JsonOption, fail, out, print_line, say
from stream.cli.decision_view import show
from stream.cli.pictures import pictures
from stream.demo.play import Played, play
from stream.demo.scenario import Act, acts
from stream.embedded import broker, extra, store
from stream.embedded.session import EmbeddedServices, WorkerProcess
from stream.events.message.messages import Record
from stream.events.topics import Topic, topic_name
from stream.events.wire.dead_letter import described


def command(
    folder: Annotated[
        list[Path] | None, typer.Argument(exists=True, help="Your own pictures, or folders of them.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Send photographs, simulated attacks and bad inputs through the whole path and show every decision."""
    extra.require()
    own = pictures(folder) if folder else []
    if not json:
        say(f"[bold]Embedded broker[/]: {broker.LIMITS}. [bold]Embedded store[/]: {store.LIMITS}.")
    say("Starting a worker ...")
    # A simulation lacks the surroundings that networks look for, so that alone it shows the signals.
    shipped = configuration.load(policy_file=None).policy_path() if own else policies.SIGNALS
    with EmbeddedServices() as services:
        settings = services.settings()
        with WorkerProcess(
            {**services.environment, "LIVENESS_POLICY_FILE": str(shipped), "LIVENESS_LOG__LEVEL": "error"}
        ):
            programme = acts(topic_name(Topic.SUBMISSIONS, settings.kafka), own)
            viewer = _Viewer(json, policies.load(shipped).inconclusive_band)
            played = asyncio.run(play(programme, settings, viewer.show))
    if not json:
        viewer.summary(played)
    if played.unanswered:
        fail(f"no answer for: {'; '.join(played.unanswered)}")


class _Viewer:
    """Viewer of the demo: shows each decision or dead letter and counts verdicts and error codes."""

    def __init__(self, json: bool, band: float) -> None:
        self._json = json
        self._band = band
        self._own: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def show(self, act: Act, record: Record) -> None:
        if not act.answered:
            say(f"dead letter: {act.title}: {described(record).get('message')}")
            return
        value = record.value or b""
        event: dict[str, Any] = orjson.loads(value)
        (self._own if act.own else self._verdicts)[event["result"]["verdict"]] += 1
        if event["error"] and not act.own:
            self._errors[event["error"]["code"]] += 1
        if self._json:
            print_line(value)
        else:
            show(out, act.title, event, self._band)

    def summary(self, played: Played) -> None:
        out.rule("summary")
        if self._own:
            out.print(f"your pictures: {_counted(self._own)}")
        own = sum(self._own.values())
        out.print(f"the demo's: {played.decisions - own} decisions, {played.dead_letters} dead letter")
        out.print(f"verdicts: {_counted(self._verdicts)}")
        out.print(f"error codes: {_counted(self._errors)}")
        out.print(
            "The attacks are simulated on one portrait: they show how the signals react, not how many\n"
            "attacks are found.\n"
            "\nNext:\n"
            "  your own selfie          .venv/bin/liveness check selfie.jpg\n"
            "  your own folder          .venv/bin/liveness demo path/to/pictures\n"
            "  real Kafka and Redis     make services-up, then see README, Going to production"
        )


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
