"""The indexes of faces and of pictures as they grow: time in milliseconds, memory in bytes, and what is found.

.venv/bin/python -m tests.bench.reuse_indexes [--kept 10000,100000] [--strangers]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from abuse.event_time import HOUR_MS
from abuse.faces.face_index import face_plan
from tests.bench.face_index import FaceBench
from tests.bench.growth import measured, one_server, show, sizes
from tests.bench.media_index import MediaBench

#: Pictures kept when meeting one is timed, and how many of each are met.
PICTURES = 100_000
MET_FACES, MET_PICTURES = 200, 500
#: A search, and a call to Redis, may take so long: what is slow is to be measured, not cut short.
SEARCH_S, CALL_S = 60.0, 20.0


def main(
    kept: Annotated[str, typer.Option(help="Faces in the index.")] = "10000,100000,300000",
    strangers: Annotated[bool, typer.Option(help="Search for faces that nobody else shows.")] = False,
) -> None:
    """Measure the indexes of faces and pictures on the configured Redis."""
    settings = one_server()
    layout = face_plan(settings, settings.policy(), {})  # keys of Redis as workers lay them out
    index = replace(layout, deadline_s=SEARCH_S)
    patient = settings.model_copy(update={"redis": settings.redis.model_copy(update={"call_timeout_s": CALL_S})})
    show(
        {
            "span_h": index.span_ms // HOUR_MS,
            "faces": measured(
                patient,
                sizes(kept, "--kept"),
                "faces",
                lambda calls, prefix: FaceBench(calls, prefix, index, MET_FACES, strangers=strangers),
            ),
            "pictures": measured(
                patient, [PICTURES], "pictures", lambda calls, prefix: MediaBench(calls, prefix, MET_PICTURES)
            ),
        }
    )


if __name__ == "__main__":
    typer.run(main)
