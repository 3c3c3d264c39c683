"""A network rewritten so that onnxruntime keeps to its blocked layout (NCHWc): the same outputs but for rounding, in
half the time. Called when a network is opened, so that the file stays as its SHA-256 says.

onnxruntime computes convolutions on blocks of channels, and leaves this layout for each PRelu and where channels are no
multiple of four. So channels between convolutions are filled up with zeros, and PRelu becomes
x + (1 - slope) * max(-x, 0) in two depthwise convolutions, into which onnxruntime fuses the maximum and the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.graph_reader import NODE, TENSOR, Node, read_node, read_tensor
from detectors.onnx.graph_writer import attribute_messages, node_field, tensor_field
from detectors.onnx.wire import bytes_field, fields

#: Channels of a block; 16 with AVX-512, up to which onnxruntime fills itself.
BLOCK = 8

#: ModelProto.graph; GraphProto.output and .value_info (shapes of tensors between nodes); ValueInfoProto.name.
_GRAPH, _RESULT, _SHAPE, _NAME = 7, 12, 13, 1
#: Operators with graphs inside, whose nodes may read any tensor of the graph outside.
_WITH_GRAPHS = frozenset(("If", "Loop", "Scan", "SequenceMap"))

_Floats = NDArray[np.float32]


def in_blocks(model: bytes) -> bytes:
    """The network rewritten; the bytes as they are where there is nothing to do. Raises ValueError for bytes that are
    no model file."""
    return b"".join(
        bytes_field(_GRAPH, _Rewriting(field.content).graph()) if field.number == _GRAPH else field.whole
        for field in fields(model)
    )


@dataclass(frozen=True, slots=True)
class _Convolution:
    """Convolution with constant weights (out, in, height, width): of all channels, or of each by itself."""

    weights: _Floats
    bias: _Floats
    depthwise: bool


class _Rewriting:
    """Rewriting of one graph, node by node."""

    def __init__(self, graph: bytes) -> None:
        self._graph = graph
        self._told = list(fields(graph))
        self._nodes = [read_node(field) for field in self._told if field.number == NODE]
        tensors = (read_tensor(field) for field in self._told if field.number == TENSOR)
        self._constants = {name: values for name, values in tensors if values is not None}
        self._may_grow = self._growing()
        self._channels: dict[str, int] = {}  # of tensors that were filled up
        self._pictures: set[str] = set()  # tensors known to have four dimensions
        self._made: list[bytes] = []  # constants

    def graph(self) -> bytes:
        nodes = b"".join(self._rewritten(node) for node in self._nodes)
        kept = b"".join(field.whole for field in self._told if field.number not in (NODE, _SHAPE))
        return nodes + kept + b"".join(self._made) if self._made else self._graph

    def _growing(self) -> set[str]:
        """Tensors whose readers all cope with more channels."""
        if any(node.operator in _WITH_GRAPHS for node in self._nodes):
            return set()
        results = [field.content for field in self._told if field.number == _RESULT]
        copes = {each.content.decode(): False for told in results for each in fields(told) if each.number == _NAME}
        for node in reversed(self._nodes):  # the readers of a node's output stand behind the node
            convolution, passes_on = self._convolution(node), self._slopes(node) is not None
            if convolution is not None:
                passes_on = convolution.depthwise
            reads = copes.get(node.output, False) if passes_on else convolution is not None
            for place, name in enumerate(node.inputs):
                copes[name] = copes.get(name, True) and reads and place == 0
        return {name for name, all_cope in copes.items() if all_cope}

    def _rewritten(self, node: Node) -> bytes:
        if (convolution := self._convolution(node)) is not None:
            self._pictures.add(node.output)
            return self._filled_up(node, convolution)
        if (slopes := self._slopes(node)) is not None and node.inputs[0] in self._pictures:
            self._pictures.add(node.output)
            return self._bent(node, slopes)
        return node.whole

    def _filled_up(self, node: Node, convolution: _Convolution) -> bytes:
        """The convolution with as many more channels as its input has, and its output may have."""
        weights, depthwise = convolution.weights, convolution.depthwise
        after, before = weights.shape[:2]
        more_before = self._channels.get(node.inputs[0], before) - before
        more_after = -after % BLOCK if node.output in self._may_grow else 0
        if depthwise:
            more_before, more_after = 0, self._channels.get(node.inputs[0], after) - after
        if not more_before and not more_after:
            return node.whole
        if more_after:
            self._channels[node.output] = after + more_after
        weights = np.pad(weights, ((0, more_after), (0, more_before), (0, 0), (0, 0)))
        bias = np.pad(convolution.bias, (0, more_after))
        group = attribute_messages({"group": len(weights) if depthwise else 1})
        return node_field(
            "Conv",
            (node.inputs[0], self._constant(node, "weights", weights), self._constant(node, "bias", bias)),
            node.output,
            *node.attributes_but("group"),
            *group,
        )

    def _bent(self, node: Node, slopes: _Floats) -> bytes:
        """PRelu in blocks."""
        (value, _), output = node.inputs, node.output
        if value in self._channels:
            self._channels[output] = self._channels[value]
            slopes = np.pad(slopes, (0, self._channels[value] - len(slopes)))
        shape, group = (-1, 1, 1, 1), attribute_messages({"group": len(slopes)})
        minus = self._constant(node, "minus", np.full_like(slopes, -1).reshape(shape))
        share = self._constant(node, "share", (1 - slopes).reshape(shape))
        below, cut, bent = (f"{output}/blocked/{name}" for name in ("below", "cut", "bent"))
        return b"".join(
            (
                node_field("Conv", (value, minus), below, *group),
                node_field("Relu", (below,), cut),
                node_field("Conv", (cut, share), bent, *group),
                node_field("Add", (bent, value), output),
            )
        )

    def _constant(self, node: Node, name: str, values: _Floats) -> str:
        name = f"{node.output}/blocked/{name}"
        self._made.append(tensor_field(name, values))
        return name

    def _convolution(self, node: Node) -> _Convolution | None:
        """The convolution that a node is, if it is one of pictures with constant weights, in one group or depthwise."""
        if node.operator != "Conv":
            return None
        weights, *biases = (self._constants.get(name) for name in node.inputs[1:])
        if weights is None or weights.ndim != 4:
            return None
        group, (after, before) = node.integer("group", 1), weights.shape[:2]
        bias = biases[0] if biases else np.zeros(after, np.float32)
        depthwise = group == after > 1 and before == 1
        if bias is None or not (group == 1 or depthwise):
            return None
        return _Convolution(weights, bias, depthwise)

    def _slopes(self, node: Node) -> _Floats | None:
        """Slopes of a PRelu that has one a channel, float32 (channels,); a single one may be for all channels."""
        slopes = self._constants.get(node.inputs[1]) if node.operator == "PRelu" else None
        if slopes is None or slopes.shape[1:] != (1, 1) or len(slopes) == 1:
            return None
        return slopes.reshape(-1)
