"""Presentation-attack network at work: a face in, a reading out. Loads onnxruntime: for slot processes only."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from config.catalogues.pad_networks import MOST_LOG_ODDS, SUSPECTED, PadNetwork
from detectors.contract import Reading, ReadingStatus
from detectors.onnx.input_format import InputFormat
from detectors.onnx.network import OnnxNetwork
from detectors.pad.crops import CROPS, resized
from detectors.signals.base import PASS_MARK, FaceObservation


class PadDetector:
    """Detector of presentation attacks by one network; one per process, not thread-safe.

    The constructor takes the file's bytes, whose hash the caller has checked, runs the network once and raises
    ValueError for one that doesn't fit its description.
    """

    def __init__(self, network: PadNetwork, onnx: bytes) -> None:
        self.network = network
        self._onnx = OnnxNetwork(onnx, _input_format(network), network.output)
        self._log_odds(self._onnx.try_out(network.side, network.side))

    @property
    def name(self) -> str:
        return self.network.signal

    def read(self, seen: FaceObservation) -> Reading:
        """Reading of one face; liveness is the network's probability of a bona fide presentation. Called by the
        analysis once a frame; pure, may be repeated. Raises RuntimeError or ValueError if the network fails."""
        network = self.network
        crop = CROPS[network.crop](seen.frame.bgr, seen.face.box, network.crop_scale)
        rgb = cv2.cvtColor(resized(crop, network.side, network.resize), cv2.COLOR_BGR2RGB)
        liveness = 1 / (1 + math.exp(-self._log_odds(self._onnx.run(np.asarray(rgb, np.uint8)))))
        passed = liveness >= PASS_MARK
        words = "looks like a person in front of the camera" if passed else "looks like a print, a screen or a mask"
        return Reading(
            name=self.name,
            label=network.label,
            status=ReadingStatus.SCORED,
            liveness=liveness,
            reason="" if passed else SUSPECTED,
            detail=f"To this network the picture {words} ({liveness:.0%} bona fide).",
        )

    def _log_odds(self, answer: NDArray[np.float32]) -> float:
        """Log-odds of bona fide against all other classes, within `MOST_LOG_ODDS`; raises ValueError for an answer
        that is none."""
        scores: list[float] = answer.tolist()
        if not all(map(math.isfinite, scores)) or not self.network.live_index < len(scores) >= 2:
            raise ValueError("the network's answer is no list of finite scores with the live class in it")
        if self.network.output_kind == "probabilities":
            if min(scores) < 0 or not sum(scores) > 0:
                raise ValueError("the network's answer is no list of probabilities")
            scores = [math.log(max(each, 1e-12)) for each in scores]
        live = scores.pop(self.network.live_index)
        highest = max(scores)
        against = highest + math.log(sum(math.exp(each - highest) for each in scores))
        return min(max(live - against, -MOST_LOG_ODDS), MOST_LOG_ODDS)


def _input_format(network: PadNetwork) -> InputFormat:
    return InputFormat(colour=network.colour, layout=network.layout, mean=network.mean, scale=network.scale)
