"""Writer of ONNX model files: just enough of its protobuf messages for a plain feed-forward network.

The `onnx` package would do the same with 15 MB more in every installation, and the bytes may change with the
package's version; here the same network gives the same bytes for ever, so that the SHA-256 can be pinned. Field
numbers are those of onnx/onnx.proto (ONNX 1.x, IR version 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.wire import Bytes, bytes_field, int_field, text_field

IR_VERSION = 8
OPSET = 13

#: TensorProto.DataType
_FLOAT, _INT64 = 1, 7
#: AttributeProto.AttributeType
_INT, _INTS = 2, 7

#: An attribute of a node: a whole number or a list of them.
Attribute = int | Sequence[int]


@dataclass(slots=True)
class GraphWriter:
    """A network under construction: add tensors and nodes in order, then take its `model`."""

    name: str
    _nodes: list[bytes] = field(default_factory=list)
    _tensors: list[bytes] = field(default_factory=list)

    def tensor(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """A constant by this name, little-endian float32 or int64."""
        self._tensors.append(tensor_field(name, values))
        return name

    def node(self, operator: str, inputs: Iterable[str], output: str, **attributes: Attribute) -> str:
        """Add an operator; returns the name of its output, which is also the node's."""
        self._nodes.append(node_field(operator, inputs, output, *attribute_messages(attributes)))
        return output

    def model(self, source: tuple[str, Sequence[int]], result: tuple[str, Sequence[int]]) -> bytes:
        """The file's bytes; `source` and `result` are name and shape of the float32 input and output."""
        graph = b"".join(self._nodes) + text_field(2, self.name) + b"".join(self._tensors)
        graph += bytes_field(11, _value(*source)) + bytes_field(12, _value(*result))
        operators = text_field(1, "") + int_field(2, OPSET)
        return (
            int_field(1, IR_VERSION)
            + text_field(2, "liveness-stream")
            + bytes_field(7, graph)
            + bytes_field(8, operators)
        )


def tensor_field(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """A constant by this name as a field of a graph."""
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    dimensions = b"".join(int_field(1, size) for size in values.shape)
    return bytes_field(5, dimensions + int_field(2, kind) + text_field(8, name) + bytes_field(9, raw))


def node_field(operator: str, inputs: Iterable[str], output: str, *attributes: Bytes) -> bytes:
    """An operator as a field of a graph; its name is that of its output."""
    message = b"".join(text_field(1, name) for name in inputs) + text_field(2, output) + text_field(3, output)
    message += text_field(4, operator) + b"".join(bytes_field(5, each) for each in attributes)
    return bytes_field(1, message)


def attribute_messages(attributes: Mapping[str, Attribute]) -> list[bytes]:
    """Attributes for `node_field`, by name."""
    return [_attribute(name, attributes[name]) for name in sorted(attributes)]


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return text_field(1, name) + int_field(3, value) + int_field(20, _INT)
    return text_field(1, name) + b"".join(int_field(8, each) for each in value) + int_field(20, _INTS)


def _value(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(bytes_field(1, int_field(1, size)) for size in shape)
    return text_field(1, name) + bytes_field(2, bytes_field(1, int_field(1, _FLOAT) + bytes_field(2, dimensions)))
