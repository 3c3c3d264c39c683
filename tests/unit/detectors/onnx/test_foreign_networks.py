"""Networks of other makers: operators that only look like ONNX' own, graphs inside, constants as inputs, great size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnxruntime
import pytest

from detectors.onnx.blocked_layout import in_blocks
from detectors.onnx.graph_reader import NODE
from detectors.onnx.graph_writer import _value
from detectors.onnx.wire import bytes_field, fields, text_field
from tests.unit.detectors.onnx.test_blocked_layout import SIDE, answer, network

LAYERS = (
    ("Conv", "x", "a", (5, 3, 1, 1), (5,)),
    ("PRelu", "a", "b", (5, 1, 1)),
    ("Conv", "b", "y", (7, 5, 1, 1), (7,)),
)
MODEL = network(*LAYERS)
GRAPH, SOURCE, DOMAIN, ATTRIBUTE, GRAPH_INSIDE = 7, 11, 7, 5, 6
#: What is behind a node's other fields.
FOREIGN = {
    "operators of another domain": text_field(DOMAIN, "com.example"),
    "graphs inside": bytes_field(ATTRIBUTE, text_field(1, "body") + bytes_field(GRAPH_INSIDE, b"")),
}


def with_graph(model: bytes, change) -> bytes:
    """The model with each field of its graph changed."""
    return b"".join(
        bytes_field(GRAPH, b"".join(map(change, fields(field.content)))) if field.number == GRAPH else field.whole
        for field in fields(model)
    )


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_known_stays(kind):
    foreign = with_graph(
        MODEL, lambda field: bytes_field(NODE, field.content + FOREIGN[kind]) if field.number == NODE else field.whole
    )
    assert in_blocks(MODEL) != MODEL
    assert in_blocks(foreign) == foreign


def test_constants_may_be_named_as_inputs():
    """As all were up to ONNX 1.3: a constant taken away would be an input that nobody feeds."""

    shapes = {"a-0": (5, 3, 1, 1), "a-1": (5,), "b-0": (5, 1, 1), "y-0": (7, 5, 1, 1), "y-1": (7,)}
    inputs = b"".join(bytes_field(SOURCE, _value(name, shape)) for name, shape in shapes.items())
    model = with_graph(MODEL, lambda field: field.whole + inputs if field.number == SOURCE else field.whole)
    assert [each.name for each in onnxruntime.InferenceSession(in_blocks(model)).get_inputs()] == ["x"]
    value = np.random.default_rng(2).normal(0, 3, (1, 3, SIDE, SIDE)).astype(np.float32)
    assert np.allclose(answer(in_blocks(model), value), answer(MODEL, value), rtol=1e-5, atol=1e-5)


def test_memory_of_a_great_network():
    """A slot's memory is bounded, and a network may have a quarter of a gigabyte."""
    layers = (
        ("Conv", "x", "a", (512, 3, 1, 1)),
        ("PRelu", "a", "b", (512, 1, 1)),
        *(("Conv", before, after, (512, 512, 3, 3)) for before, after in ("bc", "cd", "de", "ef", "fy")),
    )
    model = network(*layers)
    tracemalloc.start()
    try:
        rewritten = in_blocks(model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rewritten != model
    assert peak < 3 * len(model)
    assert len(rewritten) < 1.1 * len(model)
