"""An analyser that obeys bytes behind the end of a picture, for tests of slow, crashing and hanging pictures.

A picture says when to wait and for which file, so that nothing depends on luck. Other pictures get a plain answer.
"""

from __future__ import annotations

import ctypes
import os
import random
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from detectors.catalogue import SIGNAL_LABELS
from detectors.contract import Analysis, PictureHashes, Reading, ReadingStatus, Template
from detectors.template import built_in

MARK = b"\n#LIVENESS-TEST "
GATE_POLL_S = 0.005


def marked(image: bytes, command: str, argument: object = "") -> bytes:
    """The picture with an instruction behind its last byte."""
    return image + MARK + f"{command} {argument}".encode()


def instruction(image: bytes) -> tuple[str, str]:
    """The command and argument behind a picture's end; two empty texts if there are none."""
    _, found, text = image.rpartition(MARK)
    command, _, argument = text.decode(errors="replace").partition(" ") if found else ("", "", "")
    return command, argument


def _readings(liveness: float) -> tuple[Reading, ...]:
    """Every signal at one value: 1 is LIVE, 0 is SPOOF."""
    return tuple(
        Reading(name=name, label=label, status=ReadingStatus.SCORED, liveness=liveness, detail="Scripted.")
        for name, label in SIGNAL_LABELS.items()
    )


class Scripted:
    def analyse(self, image: memoryview, /, *, measured: bool = False, rest: object = None) -> Analysis:
        command, argument = instruction(bytes(image))
        acts: dict[str, Callable[[str], None]] = {
            "hold": _hold,
            "crash": _crash,
            "hang": _hang,
            "raise": _raise,
        }
        if command in acts:
            acts[command](argument)
        if command == "face":
            return _attack_by(int(argument))
        return Analysis(face_detected=True, readings=_readings(float(argument) if command == "liveness" else 1.0))


def _attack_by(person: int) -> Analysis:
    """A SPOOF that shows somebody, on a picture of their own; to the worker it is the built-in model that saw it."""
    spec = built_in.spec()
    vector = array("f", (random.Random(person + number).gauss(0, 0.056) for number in range(0, 128_000, 1000)))
    return Analysis(
        face_detected=True,
        readings=_readings(0.1),
        template=Template(model=spec.name, model_sha256=spec.space_sha256, vector=vector.tobytes()),
        picture=PictureHashes(pixels_sha256=f"{person:064x}", perceptual=random.Random(person).getrandbits(64)),
    )


def scripted(policy_json: str, bundle: Path | None, template: object, networks: object) -> Scripted:
    """The factory that a slot process imports."""
    return Scripted()


def begun(gate: Path) -> Path:
    """The file that appears once a picture waits at its gate."""
    return gate.with_name(gate.name + ".begun")


def _hold(path: str) -> None:
    """Say that it has begun, then wait until the gate is there."""
    gate = Path(path)
    begun(gate).touch()
    while not os.path.exists(gate):
        time.sleep(GATE_POLL_S)


def _crash(argument: str) -> None:
    ctypes.string_at(0)


def _hang(argument: str) -> None:
    while True:
        pass


def _raise(argument: str) -> None:
    raise LookupError(f"words that quote the picture: {argument}")
