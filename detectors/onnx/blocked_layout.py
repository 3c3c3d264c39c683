"""A network rewritten so that onnxruntime keeps to its blocked layout (NCHWc): the same outputs but for rounding, in
half the time. Called when a network is opened, so that the file stays as its SHA-256 says.

onnxruntime computes convolutions on blocks of channels, and leaves this layout for each PRelu and where channels are no
multiple of four. So channels between convolutions are filled up with zeros, and PRelu of x becomes
x + (1 - slope) * max(-x, 0): a Relu and a depthwise convolution, into which onnxruntime fuses the sum. Where only
convolutions are around, -x is what lies between, by weights with the other sign; else a further convolution makes it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from detectors.onnx.graph_writer import FLOAT, node_of, tensor_of
from detectors.onnx.messages import Model

#: Channels of a block; 16 with AVX-512, up to which onnxruntime fills itself.
BLOCK = 8
#: Names of the domain of ONNX' own operators; others have operators of the same names.
_OWN_DOMAIN = ("", "ai.onnx")

_Floats = NDArray[np.float32]


def in_blocks(model: bytes) -> bytes:
    """The network rewritten; the bytes as they are where there is nothing to do. Raises ValueError for bytes that are
    no model file. Beside the file this takes four times the file's memory for a moment (M)."""
    try:
        told = Model.FromString(model)
    except DecodeError:
        raise ValueError("no model file") from None
    written: bytes = told.SerializeToString() if _Rewriting(told.graph).is_done() else model
    return written


@dataclass(frozen=True, slots=True)
class _Convolution:
    """Convolution with constant weights (out, in, height, width): of all channels, or of each by itself."""

    weights: _Floats
    bias: _Floats
    depthwise: bool


class _Rewriting:
    """Rewriting of one graph, node by node. Convolutions, slopes and readers' needs are by the output of their node."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._nodes = list(graph.node)
        self._constants = {each.name: values for each in graph.initializer if (values := _floats(each)) is not None}
        self._convolutions = {
            _output(node): found for node in self._nodes if (found := self._convolution(node)) is not None
        }
        self._slopes = {_output(node): each for node in self._nodes if (each := self._slopes_of(node)) is not None}
        self._readers = self._all_readers()
        self._growing = self._may_grow()
        self._turned = self._with_other_sign()
        self._channels: dict[str, int] = {}  # of tensors that were filled up
        self._pictures: set[str] = set()  # tensors known to have four dimensions
        self._made: list[Any] = []  # constants

    def is_done(self) -> bool:
        """Whether anything has changed in the graph. Graphs inside a node may read any tensor of the graph outside, and
        nothing changes then."""
        graph = self._graph
        if any(each.HasField("g") or each.graphs for node in self._nodes for each in node.attribute):
            return False
        rewritten = [self._rewritten(node) for node in self._nodes]
        if not self._made:
            return False
        same = {name for node, now in zip(self._nodes, rewritten, strict=True) if now is None for name in node.input}
        needed = same.union(each.name for values in (graph.input, graph.output) for each in values)
        for place in reversed(range(len(graph.initializer))):
            if graph.initializer[place].name not in needed:
                del graph.initializer[place]
        graph.initializer.extend(self._made)
        del graph.node[:], graph.value_info[:]
        for node, now in zip(self._nodes, rewritten, strict=True):
            graph.node.extend([node] if now is None else now)
        return True

    def _all_readers(self) -> dict[str, list[str | None]]:
        """Nodes that read each tensor, by their outputs; None for a reader outside the graph."""
        readers: dict[str, list[str | None]] = defaultdict(list)
        for node in self._nodes:
            for name in node.input:
                readers[name].append(_output(node))
        for result in self._graph.output:
            readers[result.name].append(None)
        return readers

    def _is_read_by(self, copes: Callable[[str], bool], name: str) -> bool:
        """Whether a tensor is read, by nodes that all cope; constants are no such inputs."""
        readers = self._readers[name]
        return bool(readers) and all(reader is not None and copes(reader) for reader in readers)

    def _may_grow(self) -> set[str]:
        """Tensors whose readers all cope with more channels."""
        growing: set[str] = set()

        def copes(output: str) -> bool:
            convolution = self._convolutions.get(output)
            if convolution is not None and not convolution.depthwise:
                return True
            return output in growing and (convolution is not None or output in self._slopes)

        for node in reversed(self._nodes):  # the readers of a node's output stand behind the node
            if self._is_read_by(copes, _output(node)):
                growing.add(_output(node))
        return growing

    def _with_other_sign(self) -> set[str]:
        """Inputs and outputs of each PRelu that stands by itself between convolutions."""
        turned: set[str] = set()
        for node in self._nodes:
            output = _output(node)
            if output in self._slopes and self._is_read_by(self._convolutions.__contains__, output):
                value = node.input[0]
                if value in self._convolutions and self._readers[value] == [output]:
                    turned |= {value, output}
        return turned

    def _rewritten(self, node: Any) -> list[Any] | None:
        """Nodes in place of one; None for the node as it stands."""
        output = _output(node)
        if output in self._convolutions:
            self._pictures.add(output)
            return self._convolved(node, output, self._convolutions[output])
        if output in self._slopes and node.input[0] in self._pictures:
            self._pictures.add(output)
            return self._bent(node.input[0], output, self._slopes[output])
        return None

    def _convolved(self, node: Any, output: str, convolution: _Convolution) -> list[Any] | None:
        """The convolution with as many more channels as its input has and its output may have, and their signs."""
        value, depthwise = node.input[0], convolution.depthwise
        after, before = convolution.weights.shape[:2]
        more_before = self._channels.get(value, before) - before
        more_after = -after % BLOCK if output in self._growing else 0
        if depthwise:
            more_before, more_after = 0, self._channels.get(value, after) - after
        if more_after:
            self._channels[output] = after + more_after
        turned = value in self._turned, output in self._turned
        if not (more_before or more_after or any(turned)):
            return None
        sign_before, sign_after = (-1 if each else 1 for each in turned)
        weights = np.pad(convolution.weights, ((0, more_after), (0, more_before), (0, 0), (0, 0)))
        bias = np.pad(convolution.bias, (0, more_after))
        weights_name = self._constant(output, "weights", weights * np.float32(sign_before * sign_after))
        made = node_of(
            "Conv",
            (value, weights_name, self._constant(output, "bias", bias * np.float32(sign_after))),
            output,
            group=len(weights) if depthwise else 1,
        )
        made.attribute.extend(each for each in node.attribute if each.name != "group")
        return [made]

    def _bent(self, value: str, output: str, slopes: _Floats) -> list[Any]:
        """PRelu in blocks; of -x, if that is what lies between."""
        if value in self._channels:
            self._channels[output] = self._channels[value]
            slopes = np.pad(slopes, (0, self._channels[value] - len(slopes)))
        share, group = (1 - slopes).reshape(-1, 1, 1, 1), len(slopes)
        cut, bent, below = (f"{output}/blocked/{name}" for name in ("cut", "bent", "below"))
        made = []
        if output in self._turned:
            share, below = -share, value
        else:
            minus = self._constant(output, "minus", np.full_like(share, -1))
            made.append(node_of("Conv", (value, minus), below, group=group))
        return [
            *made,
            node_of("Relu", (below,), cut),
            node_of("Conv", (cut, self._constant(output, "share", share)), bent, group=group),
            node_of("Add", (bent, value), output),
        ]

    def _constant(self, output: str, name: str, values: _Floats) -> str:
        self._made.append(tensor_of(f"{output}/blocked/{name}", values))
        return f"{output}/blocked/{name}"

    def _convolution(self, node: Any) -> _Convolution | None:
        """The convolution that a node is, if it is one of pictures with constant weights, in one group or depthwise."""
        if node.op_type != "Conv" or node.domain not in _OWN_DOMAIN:
            return None
        weights, *biases = (self._constants.get(name) for name in node.input[1:])
        if weights is None or weights.ndim != 4:
            return None
        group = next((each.i for each in node.attribute if each.name == "group"), 1)
        after, before = weights.shape[:2]
        bias = biases[0] if biases else np.zeros(after, np.float32)
        depthwise = group == after > 1 and before == 1
        if bias is None or not (group == 1 or depthwise):
            return None
        return _Convolution(weights, bias, depthwise)

    def _slopes_of(self, node: Any) -> _Floats | None:
        """Slopes of a PRelu that has one a channel, float32 (channels,); a single one may be for all channels."""
        is_one = node.op_type == "PRelu" and node.domain in _OWN_DOMAIN
        slopes = self._constants.get(node.input[1]) if is_one else None
        if slopes is None or slopes.shape[1:] != (1, 1) or len(slopes) == 1:
            return None
        return slopes.reshape(-1)


def _output(node: Any) -> str:
    return node.output[0] if node.output else ""


def _floats(tensor: Any) -> _Floats | None:
    """Values of a constant; None for values that are no floats or no raw bytes."""
    fits = tensor.data_type == FLOAT and len(tensor.raw_data) == 4 * math.prod(tensor.dims)
    return np.frombuffer(tensor.raw_data, "<f4").reshape(tensor.dims) if fits else None
