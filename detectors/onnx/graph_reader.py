"""Reader of ONNX model files: nodes and constant tensors of a graph, as far as rewriting convolutions needs them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.wire import Bytes, Field, fields, numbers

#: GraphProto.node and .initializer; NodeProto.input, .output, .op_type, .attribute and .domain; AttributeProto.name,
#: .i, .g and .graphs.
NODE, TENSOR = 1, 5
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_GRAPHS = 1, 3, (6, 11)
#: Names of the domain of ONNX' own operators; others have operators of the same names.
_OWN_DOMAIN = ("", "ai.onnx")
#: TensorProto.dims, .data_type, .name and .raw_data; TensorProto.DataType.FLOAT.
_DIMENSIONS, _TYPE, _NAME, _RAW, _FLOAT = 1, 2, 8, 9, 1


@dataclass(frozen=True, slots=True)
class Node:
    """Node of a graph: its operator, with the domain in front unless that is ONNX' own; its first output, its
    attributes as they stand in the file, and `whole` as the graph's field."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: tuple[Bytes, ...]
    whole: Bytes

    @property
    def has_graphs(self) -> bool:
        """Whether there are graphs inside, whose nodes may read any tensor of the graph outside."""
        return any(field.number in _ATTRIBUTE_GRAPHS for each in self.attributes for field in fields(each))

    def integer(self, attribute: str, otherwise: int) -> int:
        """Attribute that is a whole number."""
        for told in map(list, map(fields, self.attributes)):
            if _texts(told, _ATTRIBUTE_NAME) == [attribute]:
                return next((field.value for field in told if field.number == _ATTRIBUTE_INT), 0)
        return otherwise

    def attributes_but(self, attribute: str) -> tuple[Bytes, ...]:
        """All attributes less one."""
        return tuple(each for each in self.attributes if _texts(fields(each), _ATTRIBUTE_NAME) != [attribute])


def read_node(field: Field) -> Node:
    """Node in a field of a graph. Raises ValueError."""
    told = list(fields(field.content))
    operator, domain = ("".join(_texts(told, number)) for number in (_OPERATOR, _DOMAIN))
    return Node(
        operator=operator if domain in _OWN_DOMAIN else f"{domain}.{operator}",
        inputs=tuple(_texts(told, _INPUT)),
        output=(_texts(told, _OUTPUT) or [""])[0],
        attributes=tuple(each.content for each in told if each.number == _ATTRIBUTE),
        whole=field.whole,
    )


def read_tensor(field: Field) -> tuple[str, NDArray[np.float32] | None]:
    """Name and values of a tensor; None for values that are no floats or no raw bytes. Raises ValueError."""
    told = list(fields(field.content))
    shape = [size for each in told if each.number == _DIMENSIONS for size in numbers(each)]
    raw = [each.content for each in told if each.number == _RAW]
    is_float = [each.value for each in told if each.number == _TYPE] == [_FLOAT]
    fits = is_float and len(raw) == 1 and len(raw[0]) == 4 * math.prod(shape)
    return "".join(_texts(told, _NAME)), np.frombuffer(raw[0], "<f4").reshape(shape) if fits else None


def _texts(told: Iterable[Field], number: int) -> list[str]:
    return [str(field.content, "utf-8") for field in told if field.number == number]
