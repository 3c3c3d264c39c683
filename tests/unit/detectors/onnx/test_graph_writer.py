"""The written bytes are ONNX as onnxruntime reads it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from detectors.onnx.graph_writer import GraphWriter


def session(onnx: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])


def test_a_small_network_computes():
    graph = GraphWriter("small")
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    value = graph.node("MatMul", ["given", graph.tensor("weights", weights)], "product")
    graph.node("Relu", [value], "answer")
    loaded = session(graph.model(("given", (2, 3)), ("answer", (2, 4))))
    given = np.array([[1, -2, 3], [-1, 0, 0]], np.float32)
    (answer,) = loaded.run(None, {"given": given})
    assert np.array_equal(answer, np.maximum(given @ weights, 0))


def test_attributes_and_shapes_arrive():
    graph = GraphWriter("pool")
    ends = np.array([0, 0, 0, 0, 0, 300, 1, 1], np.int64)
    value = graph.node("AveragePool", ["given"], "pooled", kernel_shape=(2, 2), strides=(2, 2))
    value = graph.node("Pad", [value, graph.tensor("ends", ends)], "padded")
    graph.node("Flatten", [value], "answer", axis=2)
    loaded = session(graph.model(("given", (1, 1, 4, 4)), ("answer", (301, 9))))
    (answer,) = loaded.run(None, {"given": np.ones((1, 1, 4, 4), np.float32)})
    assert answer.shape == (301, 9)
    assert answer.sum() == 4
    assert loaded.get_inputs()[0].shape == [1, 1, 4, 4]


def test_negative_numbers_are_not_written():
    with pytest.raises(ValueError, match="from 0 on"):
        GraphWriter("wrong").node("Flatten", ["given"], "answer", axis=-1)
