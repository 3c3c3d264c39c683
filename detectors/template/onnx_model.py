"""The template model: a network in onnxruntime that turns an aligned chip into a template.

Imported where a model is opened, so that only slot processes load onnxruntime.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.network import OnnxNetwork
from detectors.template.port import TemplateSpec


class TemplateModel:
    """A template model run from an ONNX file's bytes, whose hash the caller has checked; one per process, not
    thread-safe. The constructor runs the network once and raises ValueError for a network that doesn't fit `spec`.
    """

    def __init__(self, spec: TemplateSpec, onnx: bytes) -> None:
        self.spec = spec
        self._network = OnnxNetwork(onnx, spec.input, spec.output)
        self._checked(self._network.try_out(spec.chip.side, spec.chip.side))

    def embed(self, chip_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Template, float32 (dimension,), finite, of a uint8 (side, side, 3) RGB chip.

        Called for each face by `extraction.extract`. Blocks a few milliseconds; raises RuntimeError or ValueError for
        whatever native code raises. May be repeated: one chip gives one template.
        """
        side = self.spec.chip.side
        if chip_rgb.shape != (side, side, 3) or chip_rgb.dtype != np.uint8:
            raise ValueError(f"a chip is uint8 ({side}, {side}, 3)")
        return self._checked(self._network.run(chip_rgb))

    def _checked(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        if vector.size != self.spec.dimension:
            raise ValueError(f"the network answers {vector.size} numbers, not {self.spec.dimension}")
        length = float(np.linalg.norm(vector))
        if not 0 < length < np.inf:
            raise ValueError("the network's answer is no template")
        return vector / np.float32(length) if self.spec.normalise else vector
