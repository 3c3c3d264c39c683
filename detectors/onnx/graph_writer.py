"""Writer of ONNX model files: just enough for a plain feed-forward network. The same network gives the same bytes, so
that a file's SHA-256 can be pinned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.messages import Graph, Model, Node, Tensor

IR_VERSION = 8
OPSET = 13

#: TensorProto.DataType
FLOAT, _INT64 = 1, 7
#: AttributeProto.AttributeType
_INT, _INTS = 2, 7

#: An attribute of a node: a whole number or a list of them.
Attribute = int | Sequence[int]


class GraphWriter:
    """A network under construction: add tensors and nodes in order, then take its `model`."""

    def __init__(self, name: str) -> None:
        self._graph = Graph(name=name)

    def tensor(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """A constant by this name, little-endian float32 or int64."""
        self._graph.initializer.append(tensor_of(name, values))
        return name

    def node(self, operator: str, inputs: Iterable[str], output: str, **attributes: Attribute) -> str:
        """Add an operator; returns the name of its output, which is also the node's."""
        self._graph.node.append(node_of(operator, inputs, output, **attributes))
        return output

    def model(self, source: tuple[str, Sequence[int]], result: tuple[str, Sequence[int]]) -> bytes:
        """The file's bytes; `source` and `result` are name and shape of the float32 input and output."""
        for values, (name, shape) in ((self._graph.input, source), (self._graph.output, result)):
            kind = values.add(name=name).type.tensor_type
            kind.elem_type = FLOAT
            for size in shape:
                kind.shape.dim.add(dim_value=size)
        model = Model(ir_version=IR_VERSION, producer_name="liveness-stream", graph=self._graph)
        model.opset_import.add(domain="", version=OPSET)
        written: bytes = model.SerializeToString(deterministic=True)
        return written


def tensor_of(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> Any:
    """A constant by this name."""
    kind = FLOAT if values.dtype == np.float32 else _INT64
    raw = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return Tensor(dims=values.shape, data_type=kind, name=name, raw_data=raw)


def node_of(operator: str, inputs: Iterable[str], output: str, **attributes: Attribute) -> Any:
    """An operator, whose name is that of its output."""
    node = Node(input=inputs, output=[output], name=output, op_type=operator)
    for name, value in sorted(attributes.items()):
        told = {"i": value, "type": _INT} if isinstance(value, int) else {"ints": value, "type": _INTS}
        node.attribute.add(name=name, **told)
    return node
