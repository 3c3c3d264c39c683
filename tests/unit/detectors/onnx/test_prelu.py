"""Networks with PRelu answer the same without; files that are none are refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from config.pad_networks import SHIPPED
from detectors.onnx.graph_writer import GraphWriter
from detectors.onnx.prelu import without_prelu
from detectors.onnx.wire import bytes_field, fields, int_field
from tests.photographs import ROOT_OF_SHARED

SHAPE = (1, 4, 6, 6)
SLOPES = np.array([0.25, 0.0, 1.5, -0.5], np.float32).reshape(4, 1, 1)
MODELS = ROOT_OF_SHARED / "models"


def network(layers: int) -> bytes:
    """Network of so many PRelu in a row, with one slope a channel."""
    graph = GraphWriter("bent")
    slope, value = graph.tensor("slope", SLOPES), "x"
    for number in range(layers):
        value = graph.node("PRelu", [value, slope], f"layer-{number}")
    return graph.model(("x", SHAPE), (graph.node("Identity", [value], "y"), SHAPE))


def answer(model: bytes, value: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: value})[0]


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_answers_are_the_same(layers):
    value = np.random.default_rng(layers).normal(0, 3, SHAPE).astype(np.float32)
    value[0, :, 0, 0] = 0.0
    model = network(layers)
    assert np.array_equal(answer(without_prelu(model), value), answer(model, value))
    assert b"PRelu" not in without_prelu(model)
    assert (without_prelu(model) == model) is (layers == 0)


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda network: network.name)
def test_shipped_networks_answer_the_same(shipped):
    file = MODELS / shipped.file
    if not file.is_file():
        pytest.skip("no mirror of model files for tests")
    value = np.random.default_rng(1).uniform(0, 255, (1, 3, shipped.side, shipped.side)).astype(np.float32)
    model = file.read_bytes()
    assert b"PRelu" in model
    assert np.allclose(answer(without_prelu(model), value), answer(model, value), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("end", [1, 5, 20, -1])
def test_cut_files_are_no_message(end):
    with pytest.raises(ValueError, match=r"field|number|wire"):
        list(fields(network(1)[:end]))


def test_fields_read_back():
    message = int_field(3, 300) + bytes_field(7, b"seven") + b"\x15" + bytes(4) + b"\x19" + bytes(8)
    found = list(fields(message))
    assert [(field.number, field.content) for field in found] == [(3, b""), (7, b"seven"), (2, b""), (3, b"")]
    assert b"".join(field.whole for field in found) == message
