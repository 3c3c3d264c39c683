"""The adapter: any ONNX network that turns a chip into a vector, in onnxruntime on one thread.

Imported where a model is opened, so that only slot processes load onnxruntime.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from detectors.template.port import TemplateSpec

#: onnxruntime's words below an error would go to stderr.
_ERRORS_ONLY = 3


class OnnxTemplateModel:
    """Runs the network in `onnx`, whose hash the caller has checked; raises ValueError if it doesn't fit `spec`."""

    def __init__(self, spec: TemplateSpec, onnx: bytes) -> None:
        self.spec = spec
        self._session = _session(onnx)
        self._input: str = _the_only(self._session.get_inputs(), "input").name
        self._output: str = spec.output or _the_only(self._session.get_outputs(), "output").name
        if self._output not in [each.name for each in self._session.get_outputs()]:
            raise ValueError("the network has no output of the manifest's name")
        self._mean = np.array(spec.input.mean, np.float32)
        self._scale = np.float32(spec.input.scale)
        side = spec.chip.side
        try:
            self.embed(np.full((side, side, 3), 127, np.uint8))  # a wrong shape shows here and not on a picture
        except RuntimeError as error:
            raise ValueError(f"the network can't be fed as the manifest says: {error}") from error
        _give_back_memory()

    def embed(self, chip_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See the port."""
        side = self.spec.chip.side
        if chip_rgb.shape != (side, side, 3) or chip_rgb.dtype != np.uint8:
            raise ValueError(f"a chip is uint8 ({side}, {side}, 3)")
        try:
            (answer,) = self._session.run([self._output], {self._input: self._fed(chip_rgb)})
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise RuntimeError(f"the template network failed ({type(error).__name__})") from error
        vector = np.asarray(answer, np.float32).reshape(-1)
        if vector.size != self.spec.dimension:
            raise ValueError(f"the network answers {vector.size} numbers, not {self.spec.dimension}")
        length = float(np.linalg.norm(vector))
        if not 0 < length < np.inf:
            raise ValueError("the network's answer is no template")
        return vector / np.float32(length) if self.spec.normalise else vector

    def _fed(self, chip_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        form = self.spec.input
        pixels = chip_rgb if form.colour == "rgb" else chip_rgb[:, :, ::-1]
        values = (pixels - self._mean) * self._scale
        return np.ascontiguousarray(values.transpose(2, 0, 1) if form.layout == "nchw" else values)[np.newaxis]


def _session(onnx: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ValueError(f"the template model does not load ({type(error).__name__})") from error


def _give_back_memory() -> None:
    """Building the session leaves 45 MiB free but unreturned (M); glibc gives them back when asked."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _the_only(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        raise ValueError(f"the network has {len(found)} {what}s; exactly one is expected")
    return found[0]
