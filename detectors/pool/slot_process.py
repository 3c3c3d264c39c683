"""The slot process: builds the analyser once, then analyses one job after the other."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from config.catalogues.error_codes import ErrorCode
from detectors.analysis_codec import encode
from detectors.contract import Analyser, Analysis
from detectors.contract_measures import FrameMeasures
from detectors.pool.blocks import cut_into, map_read_only
from detectors.pool.confinement.layers import Confinement, Layer, Missing, shut
from detectors.pool.messages import Reply, ReplyKind, join, pack_reply, receive_job
from detectors.pool.plan import SlotPlan, build_analyser

MAX_START_WORDS = 500


class Unconfined(ValueError):
    """Slot on a system that lacks a layer of confinement, which the setting requires."""


def serve(channel: socket.socket, block_fd: int, plan: SlotPlan, missing: Missing) -> None:
    """Answer jobs until the parent closes the channel. The caller has confined the process, but for the layers that
    are `missing`; the process is shut here, once the analyser is built."""
    try:
        try:
            analyser = build_analyser(plan.factory)
            missing = _shut(plan.settings.confinement, missing)
        except (OSError, ValueError) as error:  # what an analyser raises for files that are missing or not as told
            channel.sendall(_start_words(ReplyKind.REFUSED, error))
            return
        block = map_read_only(block_fd, plan.settings.max_image_bytes)
        os.close(block_fd)
    except Exception as error:  # any reason the models don't load is for the operator to read
        channel.sendall(_start_words(ReplyKind.START_FAILED, error))
        return
    channel.sendall(pack_reply(Reply(0, ReplyKind.READY, orjson.dumps(missing, option=orjson.OPT_NON_STR_KEYS))))
    while (job := receive_job(channel)) is not None:
        answers = answers_to(analyser, cut_into(block, job.lengths), measured=job.measured)
        kind = ReplyKind.RAISED if any(each.kind is ReplyKind.RAISED for each in answers) else ReplyKind.ANALYSED
        channel.sendall(pack_reply(Reply(job.number, kind, join(each.encoded for each in answers))))


def _shut(confinement: Confinement, missing: Missing) -> Missing:
    if confinement is Confinement.OFF:
        return dict.fromkeys(Layer, "switched off")
    missing = {**missing, **shut()}
    if missing and confinement is Confinement.REQUIRE:
        raise Unconfined("; ".join(f"{layer}: {why}" for layer, why in missing.items()))
    return missing


def _start_words(kind: ReplyKind, error: Exception) -> bytes:
    words = f"{type(error).__name__}: {error}"[:MAX_START_WORDS]
    return pack_reply(Reply(0, kind, words.encode(errors="replace")))


class FrameAnswer(NamedTuple):
    """Answer to one frame of a job: ANALYSED or RAISED, and the analysis, encoded as well."""

    kind: ReplyKind
    analysis: Analysis
    encoded: bytes


def answers_to(analyser: Analyser, images: Iterable[memoryview], *, measured: bool) -> list[FrameAnswer]:
    """Answers to the frames of a job, in their order. Frames after the first are analysed with the first's measures."""
    answers: list[FrameAnswer] = []
    for image in images:
        rest = answers[0].analysis.measures if answers else None
        answers.append(_answer(analyser, image, measured=measured, rest=rest))
    return answers


def _answer(analyser: Analyser, image: memoryview, *, measured: bool, rest: FrameMeasures | None) -> FrameAnswer:
    """An exception leaves its type's name only: its words could quote the picture."""
    started = time.process_time()
    try:
        analysis = analyser.analyse(image, measured=measured, rest=rest)
        if not analysis.cpu_ms:
            analysis = dataclasses.replace(analysis, cpu_ms=_cpu_ms_since(started))
        return FrameAnswer(ReplyKind.ANALYSED, analysis, encode(analysis))
    except Exception as error:  # one picture's trouble is its answer, not the end of the slot's channel
        failed = Analysis(
            error=ErrorCode.INFERENCE_ERROR, message=type(error).__name__[:80], cpu_ms=_cpu_ms_since(started)
        )
        return FrameAnswer(ReplyKind.RAISED, failed, encode(failed))


def _cpu_ms_since(started: float) -> float:
    return (time.process_time() - started) * 1000
