"""A network rewritten so that onnxruntime keeps to its blocked layout (NCHWc): the same outputs but for rounding, in
half the time. Called when a network is opened, so that the file stays as its SHA-256 says.

onnxruntime computes convolutions on blocks of channels, and leaves this layout for each PRelu and where channels are no
multiple of four. So channels between convolutions are filled up with zeros, and PRelu of x becomes
x + (1 - slope) * max(-x, 0): a Relu and a depthwise convolution, into which onnxruntime fuses the sum. Where only
convolutions are around, -x is what lies between, by weights with the other sign; else a further convolution makes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.graph_reader import NODE, TENSOR, Node, read_node, read_tensor
from detectors.onnx.graph_writer import attribute_messages, node_field, tensor_field
from detectors.onnx.wire import Bytes, bytes_head, fields

#: Channels of a block; 16 with AVX-512, up to which onnxruntime fills itself.
BLOCK = 8

#: ModelProto.graph; GraphProto.input, .output and .value_info (shapes of tensors between nodes); ValueInfoProto.name.
_GRAPH, _SOURCE, _RESULT, _SHAPE, _NAME = 7, 11, 12, 13, 1

_Floats = NDArray[np.float32]


def in_blocks(model: bytes) -> bytes:
    """The network rewritten; the bytes as they are where there is nothing to do. Constants are copied as they change
    and once at the end, since a slot's memory is bounded. Raises ValueError for bytes that are no model file."""
    pieces: list[Bytes] = []
    for field in fields(memoryview(model)):
        graph = _Rewriting(field.content).graph() if field.number == _GRAPH else None
        pieces += [field.whole] if graph is None else [bytes_head(_GRAPH, sum(map(len, graph))), *graph]
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """Convolution with constant weights (out, in, height, width): of all channels, or of each by itself."""

    weights: _Floats
    bias: _Floats
    depthwise: bool


class _Rewriting:
    """Rewriting of one graph, node by node. Convolutions and slopes are by the output of their node."""

    def __init__(self, graph: Bytes) -> None:
        self._told = list(fields(graph))
        self._nodes = [read_node(field) for field in self._told if field.number == NODE]
        self._tensors = [(field, *read_tensor(field)) for field in self._told if field.number == TENSOR]
        self._constants = {name: values for _, name, values in self._tensors if values is not None}
        self._convolutions = {
            node.output: convolution for node in self._nodes if (convolution := self._convolution(node)) is not None
        }
        self._slopes = {node.output: slopes for node in self._nodes if (slopes := self._slopes_of(node)) is not None}
        self._readers = self._all_readers()
        self._growing = self._may_grow()
        self._turned = self._with_other_sign()
        self._channels: dict[str, int] = {}  # of tensors that were filled up
        self._pictures: set[str] = set()  # tensors known to have four dimensions
        self._made: list[bytes] = []  # constants

    def graph(self) -> list[Bytes] | None:
        """The graph's fields; None where nothing changes."""
        if any(node.has_graphs for node in self._nodes):
            return None
        nodes = [self._rewritten(node) for node in self._nodes]
        if not self._made:
            return None
        same = {name for node, now in zip(self._nodes, nodes, strict=True) if now is node.whole for name in node.inputs}
        needed = same.union(self._names(_SOURCE), self._names(_RESULT))
        kept = [field.whole for field in self._told if field.number not in (NODE, TENSOR, _SHAPE)]
        return [*nodes, *kept, *(field.whole for field, name, _ in self._tensors if name in needed), *self._made]

    def _names(self, number: int) -> Iterator[str]:
        """Names of the graph's inputs or outputs."""
        for told in (field.content for field in self._told if field.number == number):
            yield from (str(each.content, "utf-8") for each in fields(told) if each.number == _NAME)

    def _all_readers(self) -> dict[str, list[Node | None]]:
        """Nodes that read each tensor; None for a reader outside the graph."""
        readers: dict[str, list[Node | None]] = defaultdict(list)
        for node in self._nodes:
            for name in node.inputs:
                readers[name].append(node)
        for name in self._names(_RESULT):
            readers[name].append(None)
        return readers

    def _is_read_by(self, copes: Callable[[str], bool], name: str) -> bool:
        """Whether a tensor is read, by nodes that all cope, told by their outputs; constants are no such inputs."""
        return bool(self._readers[name]) and all(
            reader is not None and copes(reader.output) for reader in self._readers[name]
        )

    def _may_grow(self) -> set[str]:
        """Tensors whose readers all cope with more channels."""
        growing: set[str] = set()

        def copes(output: str) -> bool:
            convolution = self._convolutions.get(output)
            if convolution is not None and not convolution.depthwise:
                return True
            return output in growing and (convolution is not None or output in self._slopes)

        for node in reversed(self._nodes):  # the readers of a node's output stand behind the node
            if self._is_read_by(copes, node.output):
                growing.add(node.output)
        return growing

    def _with_other_sign(self) -> set[str]:
        """Inputs and outputs of each PRelu that stands by itself between convolutions."""
        turned: set[str] = set()
        for node in self._nodes:
            if node.output in self._slopes and self._is_read_by(self._convolutions.__contains__, node.output):
                value = node.inputs[0]
                if value in self._convolutions and self._readers[value] == [node]:
                    turned |= {value, node.output}
        return turned

    def _rewritten(self, node: Node) -> Bytes:
        if node.output in self._convolutions:
            self._pictures.add(node.output)
            return self._convolved(node, self._convolutions[node.output])
        if node.output in self._slopes and node.inputs[0] in self._pictures:
            self._pictures.add(node.output)
            return self._bent(node, self._slopes[node.output])
        return node.whole

    def _convolved(self, node: Node, convolution: _Convolution) -> Bytes:
        """The convolution with as many more channels as its input has and its output may have, and their signs."""
        value, output, depthwise = node.inputs[0], node.output, convolution.depthwise
        after, before = convolution.weights.shape[:2]
        more_before = self._channels.get(value, before) - before
        more_after = -after % BLOCK if output in self._growing else 0
        if depthwise:
            more_before, more_after = 0, self._channels.get(value, after) - after
        if more_after:
            self._channels[output] = after + more_after
        turned = value in self._turned, output in self._turned
        if not (more_before or more_after or any(turned)):
            return node.whole
        sign_before, sign_after = (-1 if each else 1 for each in turned)
        weights = np.pad(convolution.weights, ((0, more_after), (0, more_before), (0, 0), (0, 0)))
        bias = np.pad(convolution.bias, (0, more_after))
        return node_field(
            "Conv",
            (
                value,
                self._constant(node, "weights", weights * np.float32(sign_before * sign_after)),
                self._constant(node, "bias", bias * np.float32(sign_after)),
            ),
            output,
            *node.attributes_but("group"),
            *attribute_messages({"group": len(weights) if depthwise else 1}),
        )

    def _bent(self, node: Node, slopes: _Floats) -> bytes:
        """PRelu in blocks; of -x, if that is what lies between."""
        (value, _), output = node.inputs, node.output
        if value in self._channels:
            self._channels[output] = self._channels[value]
            slopes = np.pad(slopes, (0, self._channels[value] - len(slopes)))
        share, group = (1 - slopes).reshape(-1, 1, 1, 1), attribute_messages({"group": len(slopes)})
        cut, bent, below = (f"{output}/blocked/{name}" for name in ("cut", "bent", "below"))
        made = b""
        if output in self._turned:
            share, below = -share, value
        else:
            minus = self._constant(node, "minus", np.full_like(share, -1))
            made = node_field("Conv", (value, minus), below, *group)
        return made + b"".join(
            (
                node_field("Relu", (below,), cut),
                node_field("Conv", (cut, self._constant(node, "share", share)), bent, *group),
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

    def _slopes_of(self, node: Node) -> _Floats | None:
        """Slopes of a PRelu that has one a channel, float32 (channels,); a single one may be for all channels."""
        slopes = self._constants.get(node.inputs[1]) if node.operator == "PRelu" else None
        if slopes is None or slopes.shape[1:] != (1, 1) or len(slopes) == 1:
            return None
        return slopes.reshape(-1)
