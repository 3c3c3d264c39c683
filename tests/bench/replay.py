"""Memory of a rebuild that replays many observations: of its process and of Redis, while the decisions are read.

.venv/bin/python -m tests.bench.replay [--observations 1_000_000] [--people 1_000] [--days 8]

On the configured Kafka and Redis, under prefixes of the measurement's own. A worker whose slot sleeps decides a few
submissions; their decisions are published again under other submission ids and times, spread evenly over the days, as
those of so many people, each with a device and an address. `liveness abuse rebuild` then reads all of them. Memory is
resident memory of the process, and what Redis says it uses.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from confluent_kafka import Producer

from detectors.pool.memory import resident_mib
from stream.bench import photographs
from stream.bench.installation import Broker, Installation, installation
from stream.bench.load import load_process
from stream.bench.mixes import Mix
from stream.bootstrap.authentication import open_macs
from stream.cli.console import say
from stream.embedded.session import WorkerProcess
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic, topic_name
from stream.kafka.clients.clients import reader
from stream.kafka.clients.security import librdkafka_security
from stream.redis.client import connect
from tests.bench import sleeping_worker
from tests.bench.growth import Row, show, sizes, used_memory

DAY_MS = 24 * 3600 * 1000
SEED, SAMPLES = 7, 20
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Person:
    """Correlation id, and the keyed hashes of a device, an address and its prefix."""

    correlation_id: str
    keys: dict[str, str]


def main(
    observations: Annotated[str, typer.Option(help="How many decisions are replayed.")] = "1_000_000",
    people: Annotated[str, typer.Option(help="How many correlation ids these are of.")] = "1_000",
    days: Annotated[float, typer.Option(help="Over how many days, back from now.")] = 8.0,
) -> None:
    (count,), (ids,) = sizes(observations, "--observations"), sizes(people, "--people")
    with installation(Broker.CONFIGURED, 1, say) as place:
        models = _decided(place)
        say(f"Publishing {count} decisions.")
        _publish(place, models, _people(ids), count, days)
        show(asyncio.run(_replayed(place)) | {"observations": count, "people": ids, "days": days})


def _decided(place: Installation) -> list[Record]:
    """Decisions of a worker, as it published them."""
    with tempfile.TemporaryDirectory(prefix="liveness-replay-") as folder:
        picture = Path(folder, "0.jpg")
        picture.write_bytes(photographs.from_portrait(photographs.SIZES["720x960"])[0])
        module = [sleeping_worker.__name__]
        with WorkerProcess(place.environment, module=module), load_process(place.settings, [picture]) as load:
            load.pace(Mix.STRANGERS, 2, 4)
            load.result()
    return asyncio.run(_published(place))


async def _published(place: Installation) -> list[Record]:
    kafka = place.settings.kafka
    async with reader(kafka, topic_name(Topic.DECISIONS, kafka), from_start=True) as source:
        return [record async for record in source.until_end()]


def _people(count: int) -> list[_Person]:
    draw = random.Random(SEED)

    def person() -> _Person:
        keys = {kind: f"{draw.getrandbits(128):032x}" for kind in ("device", "address", "prefix")}
        return _Person(str(uuid.UUID(int=draw.getrandbits(128), version=4)), keys)

    return [person() for _ in range(count)]


def _publish(place: Installation, models: Sequence[Record], people: Sequence[_Person], count: int, days: float) -> None:
    settings = place.settings
    macs = open_macs(settings)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            **librdkafka_security(settings.kafka),
            "compression.type": "lz4",
            "linger.ms": 50,
        }
    )
    topic = topic_name(Topic.DECISIONS, settings.kafka)
    for value, key in _decisions(models, people, count, days):
        output = macs.signed(Output(topic=topic, key=key, value=value, headers=models[0].headers[:-1]))
        while True:
            try:
                producer.produce(topic, output.value, output.key, headers=list(output.headers))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the broker did not confirm every decision")


def _decisions(
    models: Sequence[Record], people: Sequence[_Person], count: int, days: float
) -> Iterator[tuple[bytes, bytes]]:
    draw, now_ms = random.Random(SEED + 1), int(time.time() * 1000)
    documents: list[dict[str, Any]] = [orjson.loads(model.value or b"") for model in models]
    for number in range(count):
        document, person = documents[number % len(documents)], people[draw.randrange(len(people))]
        at = datetime.fromtimestamp((now_ms - days * DAY_MS * (1 - number / count)) / 1000, UTC)
        text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        submission, seen = str(uuid.UUID(int=draw.getrandbits(128), version=4)), document["abuse"]["observation"]
        document |= {"submission_id": submission, "correlation_id": person.correlation_id, "timestamp": text}
        document |= {"tenant": None, "request_id": f"lv_{draw.getrandbits(64):016x}"}
        seen |= {"at": text, "counted_as": submission}
        for subject in seen["subjects"]:
            key_id = subject["key"].rpartition("-")[0]
            subject["key"] = f"{key_id}-{person.keys[subject['type']]}"
        yield orjson.dumps(document), person.correlation_id.encode()


async def _replayed(place: Installation) -> Row:
    """Rebuild, its memory and Redis' sampled each second."""
    redis, began = connect(place.settings.redis), time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli", "abuse", "rebuild", "--json"),
        stdout=subprocess.PIPE,
        env=os.environ | place.environment,
    )
    answer = asyncio.ensure_future(process.communicate())
    taken: list[Row] = []
    try:
        while not answer.done():
            at_s = round(time.monotonic() - began)
            taken.append(
                {"s": at_s, "process_mib": resident_mib(process.pid)[0], "redis_mib": await used_memory(redis) / MIB}
            )
            await asyncio.wait([answer], timeout=1)
    finally:
        if process.returncode is None:
            process.kill()
        await redis.close()
    step = max(len(taken) // SAMPLES, 1)
    return {"rebuilt": json.loads((await answer)[0]), "samples": [*taken[::step], taken[-1]]}


if __name__ == "__main__":
    typer.run(main)
