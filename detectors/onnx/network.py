"""An ONNX network in onnxruntime on one thread: an RGB image in, one flat vector out.

Imported where a model is opened, so that only slot processes load onnxruntime.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would keep a database of events for its makers

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from detectors.onnx.blocked_layout import in_blocks
from detectors.onnx.input_format import InputFormat

#: Severity from which onnxruntime writes to stderr (3 = error).
_ERRORS_ONLY = 3


class OnnxNetwork:
    """A loaded network with one input; one per process, not thread-safe.

    The constructor takes a file's bytes, whose hash the caller has checked, and raises ValueError for bytes that are
    no network or a network without the named output.
    """

    def __init__(self, onnx: bytes, input_format: InputFormat, output: str | None = None) -> None:
        self._format = input_format
        self._session = _session(onnx)
        outputs = self._session.get_outputs()
        self._input: str = _the_only(self._session.get_inputs(), "input").name
        self._output: str = output or _the_only(outputs, "output").name
        if self._output not in [each.name for each in outputs]:
            raise ValueError("the network has no output of the manifest's name")

    def try_out(self, height: int, width: int) -> NDArray[np.float32]:
        """Answer to a grey image: a wrong input shape shows at the start and not on a picture. Raises ValueError."""
        try:
            answer = self.run(np.full((height, width, 3), 127, np.uint8))
        except RuntimeError as error:
            raise ValueError(f"the network can't be fed as the manifest says: {error}") from error
        _give_back_memory()
        return answer

    def run(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 (n,): the output, flattened, of a uint8 (height, width, 3) RGB image. Blocks for one inference;
        raises RuntimeError for whatever native code raises."""
        try:
            (answer,) = self._session.run([self._output], {self._input: self._format.tensor(rgb)})
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise RuntimeError(f"the network failed ({type(error).__name__})") from error
        return np.asarray(answer, np.float32).reshape(-1)


def _session(onnx: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(in_blocks(onnx), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ValueError(f"the network does not load ({type(error).__name__})") from error


def _give_back_memory() -> None:
    """Return free heap to the system: building dlib's session leaves 45 MiB free but unreturned (M)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _the_only(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        raise ValueError(f"the network has {len(found)} {what}s; exactly one is expected")
    return found[0]
