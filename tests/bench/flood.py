"""Flood from one tenant: how long bystanders wait beside it, on the whole path with real slots.

    .venv/bin/python -m tests.bench.flood [--seconds 20] [--rate 5] [--burst 40] [--slots 2] [--kinds jpeg png webp]
    .venv/bin/python -m tests.bench.flood --beside 9 27

Bystanders send the portrait at 720x960, each under a tenant and a correlation id of its own, on a fixed schedule; each
is timed from the moment it was due until its decision was read. First alone, then beside bursts: at the start and in
the middle one tenant sends so many of the dearest pictures that are accepted, each under a correlation id of
its own. With `--beside` there are no bursts, but so many submissions a second more on a schedule: first each under a
tenant of its own, then all of one tenant, which are one picture of one face under many correlation ids. Settings are
those of the environment: a configured broker, else the embedded one, whose partitions hold 5 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from config.settings import Settings
from detectors.containers import PARSERS
from detectors.image_format import sniff
from stream.bench.installation import default_broker, installation
from stream.bench.measurement import percentile
from stream.bench.photographs import SIZES, from_portrait
from stream.demo import attacks
from stream.demo.scenario import astronaut
from stream.embedded.session import WorkerProcess
from stream.events.topics import Topic, topic_name
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.clients import TopicReader, producer, reader

FLOOD, BYSTANDERS, STRANGERS = "flood", "bystanders", "strangers"
MS = 1000
#: After the last submission; what has no decision then is not counted, and the number shows it.
LONGEST_S = 120.0


def dear(kind: str) -> bytes:
    """Picture near the bound on the work of a decode, in few bytes, with a face."""
    side = {"jpeg": 7000, "png": 2300, "webp": 3000}[kind]
    portrait = cv2.resize(attacks.portrait(attacks.decode(astronaut())), (side, side), interpolation=cv2.INTER_CUBIC)
    if kind == "jpeg":
        buffer = BytesIO()
        Image.fromarray(portrait[..., ::-1]).save(buffer, "JPEG", progressive=True, quality=30)
        return buffer.getvalue()
    if kind == "webp":
        return cv2.imencode(".webp", portrait, (cv2.IMWRITE_WEBP_QUALITY, 101))[1].tobytes()
    opaque = np.dstack([portrait, np.full((side, side), 255, np.uint8)]).astype(np.uint16) * 257
    return cv2.imencode(".png", opaque, (cv2.IMWRITE_PNG_COMPRESSION, 6))[1].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Submissions of one picture, `rate` a second, for which `tenant` names a tenant each time."""

    who: str
    picture: bytes
    rate: float
    tenant: Callable[[], str]

    def count(self, seconds: float) -> int:
        return round(seconds * self.rate)


def anybody() -> str:
    """Tenant that nobody else has."""
    return f"tenant-{uuid.uuid4()}"


class Run:
    """Run of one load: when each submission was due, by its id, and how long its decision took."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._due: dict[bytes, tuple[str, float]] = {}
        self._left = 0
        self.took: dict[str, list[float]] = {}
        self.errors: set[str] = set()

    async def play(self, seconds: float, schedules: Sequence[Schedule], floods: Sequence[bytes], burst: int) -> None:
        """Submissions by the schedules, and at the start and in the middle a burst of these pictures."""
        kafka = self._settings.kafka
        decisions = topic_name(Topic.DECISIONS, kafka)
        async with producer(kafka) as client, reader(kafka, decisions, from_start=False) as decided:
            self._left = sum(each.count(seconds) for each in schedules) + (2 * burst if floods else 0)
            reading = asyncio.create_task(self._read(decided))
            bursts = [self._burst(client, after_s, floods, burst) for after_s in (0, seconds / 2) if floods]
            await asyncio.gather(*bursts, *(self._keep(client, each, seconds) for each in schedules))
            await asyncio.wait([reading], timeout=LONGEST_S)
            reading.cancel()

    async def _burst(self, client: object, after_s: float, floods: Sequence[bytes], burst: int) -> None:
        await asyncio.sleep(after_s)
        now = time.monotonic()
        sends = [self._send(client, FLOOD, FLOOD, floods[each % len(floods)], now) for each in range(burst)]
        await asyncio.gather(*sends)

    async def _keep(self, client: object, schedule: Schedule, seconds: float) -> None:
        began = time.monotonic()
        for number in range(schedule.count(seconds)):
            due = began + number / schedule.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._send(client, schedule.who, schedule.tenant(), schedule.picture, due)

    async def _send(self, client: object, who: str, tenant: str, image: bytes, due: float) -> None:
        new = NewSubmission(image=image, optional={"tenant": tenant})
        output = submission_output(new, topic_name(Topic.SUBMISSIONS, self._settings.kafka))
        self._due[new.submission_id.encode()] = (who, due)
        await client.send_and_wait(  # type: ignore[attr-defined]
            output.topic, key=output.key, value=output.value, headers=list(output.headers)
        )

    async def _read(self, decided: TopicReader) -> None:
        async for record in decided.records():
            found = self._due.pop(dict(record.headers).get("ce_subject", b""), None)
            if found is not None:
                self.took.setdefault(found[0], []).append(time.monotonic() - found[1])
                if b'"error":null' not in (record.value or b""):
                    self.errors.add(found[0])
                self._left -= 1
            if not self._left:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--burst", type=int, default=40)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=("jpeg", "png", "webp"), default=["jpeg"])
    parser.add_argument("--beside", type=float, nargs="+", default=[])
    options = parser.parse_args()
    usual = from_portrait(SIZES["720x960"])[0]
    bystanders = Schedule(who=BYSTANDERS, picture=usual, rate=options.rate, tenant=anybody)
    loads: list[tuple[str, list[Schedule], list[bytes]]] = [("alone", [bystanders], [])]
    for rate in options.beside:
        others = Schedule(who=STRANGERS, picture=usual, rate=rate, tenant=anybody)
        one_face = Schedule(who=FLOOD, picture=usual, rate=rate, tenant=lambda: FLOOD)
        loads.append((f"beside {rate:g} a second of strangers", [bystanders, others], []))
        loads.append((f"beside {rate:g} a second of one face", [bystanders, one_face], []))
    if not options.beside:
        loads.append(("beside the flood", [bystanders], [_told(kind) for kind in options.kinds]))
    with installation(default_broker(), options.slots, print) as place, WorkerProcess(place.environment):
        for name, schedules, floods in [("warming up", [bystanders], []), *loads]:
            run = Run(place.settings)
            seconds = 5 if name == "warming up" else options.seconds
            asyncio.run(run.play(seconds, schedules, floods, options.burst))
            for who, took in run.took.items():
                figures = ", ".join(f"p{each} {MS * (percentile(took, each) or 0):.0f} ms" for each in (50, 99))
                wrong = ", some with errors" if who in run.errors else ""
                print(f"{name}: {len(took)} of {who}: {figures}{wrong}", flush=True)


def _told(kind: str) -> bytes:
    """Dear picture, whose size and work are printed."""
    file = dear(kind)
    sniffed = sniff(file)
    assert sniffed is not None
    work = PARSERS[sniffed](memoryview(file)).work
    print(f"{kind} of {len(file) / 1e6:.2f} MB, work {(work.by_size + work.coded) / 1e6:.0f} million")
    return file


if __name__ == "__main__":
    main()
