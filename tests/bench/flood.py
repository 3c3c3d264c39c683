"""Flood of the dearest pictures from one tenant: how long bystanders wait beside it, on the whole path with real slots.

    .venv/bin/python -m tests.bench.flood [--seconds 20] [--rate 5] [--burst 40] [--slots 2] [--kinds jpeg png webp]

Bystanders send the portrait at 720x960, each under a tenant and a correlation id of its own, on a fixed schedule; each
is timed from the moment it was due until its decision was read. First alone, then beside bursts: at the start and in
the middle one tenant sends so many of the dearest pictures that are accepted, each under a correlation id of
its own. Settings are those of the environment: a configured broker, else the embedded one, whose partitions hold 5 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from config.settings import Settings
from detectors.containers import PARSERS
from detectors.image_format import sniff
from stream.bench.figures import percentile
from stream.bench.installation import default_broker, installation
from stream.bench.photographs import SIZES, from_portrait
from stream.demo import attacks
from stream.demo.scenario import astronaut
from stream.embedded.session import WorkerProcess
from stream.events.topics import Topic, topic_name
from stream.events.wire.submissions import NewSubmission, submission_output
from stream.kafka.clients.clients import TopicReader, producer, reader

FLOOD = "flood"
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


class Run:
    """Run of one load: when each submission was due, by its id, and how long its decision took."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._due: dict[bytes, tuple[str, float]] = {}
        self._left = 0
        self.took: dict[str, list[float]] = {}
        self.errors: set[str] = set()

    async def play(self, usual: bytes, floods: list[bytes], seconds: float, rate: float, burst: int) -> None:
        kafka = self._settings.kafka
        decisions = topic_name(Topic.DECISIONS, kafka)
        async with producer(kafka) as client, reader(kafka, decisions, from_start=False) as decided:
            self._left = round(seconds * rate) + (2 * burst if floods else 0)
            reading = asyncio.create_task(self._read(decided))
            began = time.monotonic()
            for number in range(round(seconds * rate)):
                if floods and number in (0, round(seconds * rate / 2)):
                    sends = [self._send(client, FLOOD, floods[each % len(floods)]) for each in range(burst)]
                    await asyncio.gather(*sends)
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._send(client, f"tenant-{uuid.uuid4()}", usual, due)
            await asyncio.wait([reading], timeout=LONGEST_S)
            reading.cancel()

    async def _send(self, client: object, tenant: str, image: bytes, due: float | None = None) -> None:
        new = NewSubmission(image=image, optional={"tenant": tenant})
        output = submission_output(new, topic_name(Topic.SUBMISSIONS, self._settings.kafka))
        kind = FLOOD if tenant == FLOOD else "bystanders"
        self._due[new.submission_id.encode()] = (kind, due or time.monotonic())
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
    options = parser.parse_args()
    floods = [dear(kind) for kind in options.kinds]
    for file in floods:
        kind = sniff(file)
        assert kind is not None
        work = PARSERS[kind](memoryview(file)).work
        print(f"{kind} of {len(file) / 1e6:.2f} MB, work {(work.by_size + work.coded) / 1e6:.0f} million")
    usual = from_portrait(SIZES["720x960"])[0]
    with installation(default_broker(), options.slots, print) as place, WorkerProcess(place.environment):
        for name, sent in (("warming up", []), ("alone", []), ("beside the flood", floods)):
            run = Run(place.settings)
            seconds = 5 if name == "warming up" else options.seconds
            asyncio.run(run.play(usual, sent, seconds, options.rate, options.burst))
            for who, took in run.took.items():
                figures = ", ".join(f"p{each} {MS * (percentile(took, each) or 0):.0f} ms" for each in (50, 99))
                wrong = ", some with errors" if who in run.errors else ""
                print(f"{name}: {len(took)} of {who}: {figures}{wrong}", flush=True)


if __name__ == "__main__":
    main()
