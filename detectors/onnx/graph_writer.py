"""Writer of ONNX model files: just enough of its protobuf messages for a plain feed-forward network.

The `onnx` package would do the same with 15 MB more in every installation, and the bytes may change with the
package's version; here the same network gives the same bytes for ever, so that the SHA-256 can be pinned. Field
numbers are those of onnx/onnx.proto (ONNX 1.x, IR version 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IR_VERSION = 8
OPSET = 13

_VARINT, _BYTES = 0, 2
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
        kind = _FLOAT if values.dtype == np.float32 else _INT64
        raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        dimensions = b"".join(_int(1, size) for size in values.shape)
        self._tensors.append(_bytes(5, dimensions + _int(2, kind) + _text(8, name) + _bytes(9, raw)))
        return name

    def node(self, operator: str, inputs: Iterable[str], output: str, **attributes: Attribute) -> str:
        """Add an operator; returns the name of its output, which is also the node's."""
        message = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(3, output)
        message += _text(4, operator)
        message += b"".join(_bytes(5, _attribute(name, attributes[name])) for name in sorted(attributes))
        self._nodes.append(_bytes(1, message))
        return output

    def model(self, source: tuple[str, Sequence[int]], result: tuple[str, Sequence[int]]) -> bytes:
        """The file's bytes; `source` and `result` are name and shape of the float32 input and output."""
        graph = b"".join(self._nodes) + _text(2, self.name) + b"".join(self._tensors)
        graph += _bytes(11, _value(*source)) + _bytes(12, _value(*result))
        operators = _text(1, "") + _int(2, OPSET)
        return _int(1, IR_VERSION) + _text(2, "liveness-stream") + _bytes(7, graph) + _bytes(8, operators)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _int(3, value) + _int(20, _INT)
    return _text(1, name) + b"".join(_int(8, each) for each in value) + _int(20, _INTS)


def _value(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(_bytes(1, _int(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _int(1, _FLOAT) + _bytes(2, dimensions)))


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _int(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _varint(value)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    pieces = bytearray()  # raises ValueError for a negative number
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)
