"""Networks of other makers: operators that only look like ONNX' own, graphs inside, constants as inputs, great size."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from detectors.onnx.blocked_layout import in_blocks
from detectors.onnx.messages import Model
from detectors.pool.memory import resident_mib
from tests.unit.detectors.onnx.test_blocked_layout import SIDE, answer, network

LAYERS = (
    ("Conv", "x", "a", (5, 3, 1, 1), (5,)),
    ("PRelu", "a", "b", (5, 1, 1)),
    ("Conv", "b", "y", (7, 5, 1, 1), (7,)),
)
MODEL = network(*LAYERS)
CLEAR_REFS = Path("/proc/self/clear_refs")
FOREIGN = {
    "operators of another domain": {"domain": "com.example"},
    "graphs inside": {"attribute": [{"name": "body", "g": b""}]},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_known_stays(kind):
    foreign = Model.FromString(MODEL)
    for node in foreign.graph.node:
        node.MergeFrom(type(node)(**FOREIGN[kind]))
    assert in_blocks(MODEL) != MODEL
    assert in_blocks(foreign.SerializeToString()) == foreign.SerializeToString()


def test_constants_may_be_named_as_inputs():
    """As all were up to ONNX 1.3: a constant taken away would be an input that nobody feeds."""

    shapes = {"a-0": (5, 3, 1, 1), "a-1": (5,), "b-0": (5, 1, 1), "y-0": (7, 5, 1, 1), "y-1": (7,)}
    told = Model.FromString(MODEL)
    for name, shape in shapes.items():
        kind = told.graph.input.add(name=name).type.tensor_type
        kind.elem_type = 1
        for size in shape:
            kind.shape.dim.add(dim_value=size)
    model = told.SerializeToString()
    assert [each.name for each in onnxruntime.InferenceSession(in_blocks(model)).get_inputs()] == ["x"]
    value = np.random.default_rng(2).normal(0, 3, (1, 3, SIDE, SIDE)).astype(np.float32)
    assert np.allclose(answer(in_blocks(model), value), answer(MODEL, value), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="the system tells no peak of memory")
def test_memory_of_a_great_network():
    """A slot's memory is bounded, and a network may have a quarter of a gigabyte."""
    layers = (
        ("Conv", "x", "a", (512, 3, 1, 1)),
        ("PRelu", "a", "b", (512, 1, 1)),
        *(("Conv", before, after, (512, 512, 3, 3)) for before, after in ("bc", "cd", "de", "ef", "fy")),
    )
    model = network(*layers)
    CLEAR_REFS.write_text("5")  # the peak begins anew
    before, _ = resident_mib(os.getpid())
    rewritten = in_blocks(model)
    _, peak = resident_mib(os.getpid())
    assert rewritten != model
    assert 0 < peak - before < 4.5 * len(model) / 2**20
    assert len(rewritten) < 1.1 * len(model)
