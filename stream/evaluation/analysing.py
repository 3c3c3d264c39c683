"""Analysing a picture set: every picture by the slots of the worker, on all cores, each analysis kept at once.

A picture meets the same checks, limits and deadline as a submission. Face templates are not made.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.policy import Policy
from config.settings import Settings
from detectors.contract import Analysis, Frame
from detectors.pool import AnalyserFactory, SlotPool
from detectors.pool.settings import available_cores
from stream.bootstrap.models import model_versions
from stream.bootstrap.slots import FACE_ANALYSER, open_pool
from stream.evaluation.analysis_cache import AnalysisCache, analyser_key
from stream.evaluation.picture_set import Presentation
from stream.events.message.messages import Refusal
from stream.pipeline.detection.detect_stage import finding_of
from stream.pipeline.intake.intake import check_image

#: Pictures in work for each slot: one at hand while the next one is read from the disk.
AHEAD = 2
#: Called with how many pictures are done.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """File that could not be read, with the operating system's reason: no presentation was made."""

    reason: str


@dataclass(frozen=True, slots=True)
class AnalysedPresentation:
    """Presentation with what became of its picture; `sha256` is of the file, empty for one that could not be read."""

    presentation: Presentation
    finding: Analysis | Refusal | Unreadable
    sha256: str = ""


def analyse(
    presentations: Sequence[Presentation],
    settings: Settings,
    policy: Policy,
    cache_file: Path,
    progress: Progress = lambda done: None,
    *,
    analyser: AnalyserFactory = FACE_ANALYSER,
) -> list[AnalysedPresentation]:
    """Presentations analysed, in their order. Raises SettingsError, SlotStartError, PoolClosed, or OSError for a cache
    that can't be written."""
    policy = policy.model_copy(update={"template": policy.template.model_copy(update={"active": False})})
    cache = AnalysisCache(cache_file, analyser_key(policy, model_versions(settings, policy)))
    pool = open_pool(settings, policy, slots=available_cores(), analyser=analyser)
    try:
        return asyncio.run(_Run(presentations, policy, cache, pool, progress).all())
    finally:
        cache.close()


@dataclass(slots=True)
class _Run:
    """Run over a picture set; the pool is started for the first picture that isn't in the cache."""

    presentations: Sequence[Presentation]
    policy: Policy
    cache: AnalysisCache
    pool: SlotPool
    progress: Progress
    _found: dict[int, AnalysedPresentation] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _started: bool = False

    async def all(self) -> list[AnalysedPresentation]:
        waiting = iter(enumerate(self.presentations))
        try:
            await asyncio.gather(*(self._work(waiting) for _ in range(AHEAD * available_cores())))
        finally:
            await self.pool.stop(grace_s=0)
        return [self._found[number] for number in range(len(self.presentations))]

    async def _work(self, waiting: Iterator[tuple[int, Presentation]]) -> None:
        for number, presentation in waiting:
            self._found[number] = await self._analysed(presentation)
            self.progress(len(self._found))

    async def _analysed(self, presentation: Presentation) -> AnalysedPresentation:
        try:
            image = await asyncio.to_thread(_read, presentation.path, self.policy.image.max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in a list
            return AnalysedPresentation(presentation, Unreadable(getattr(error, "strerror", None) or "no such path"))
        digest = hashlib.sha256(image).hexdigest()
        finding = check_image(image, self.policy.image) or self.cache.get(digest) or await self._measure(image, digest)
        return AnalysedPresentation(presentation, finding, digest)

    async def _measure(self, image: bytes, digest: str) -> Analysis | Refusal:
        """Analysis made and kept; what became of a slot (a deadline, a crash) is tried again in the next run."""
        async with self._starting:
            if not self._started:
                await self.pool.start()
                self._started = True
        finding = finding_of(await self.pool.analyse((Frame(image),)))
        if isinstance(finding, Refusal):
            return finding
        analysis = replace(finding[0], template=None, picture=None)
        self.cache.put(digest, analysis)
        return analysis


def _read(path: Path, most: int) -> bytes:
    """Beginning of a regular file, at most `most` bytes: enough to refuse a larger one. Raises OSError, ValueError."""
    if not path.is_file():
        raise FileNotFoundError(0, "no regular file there")
    with path.open("rb") as file:
        return file.read(most)
