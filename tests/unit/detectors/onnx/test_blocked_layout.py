"""Networks rewritten into blocks answer the same, without PRelu and odd channels; files that are none are refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from config.catalogues.pad_networks import SHIPPED
from detectors.onnx.blocked_layout import in_blocks
from detectors.onnx.graph_writer import GraphWriter
from detectors.onnx.messages import Model
from tests.photographs import ROOT_OF_SHARED

MODELS = ROOT_OF_SHARED / "models"
SIDE = 6


def network(*layers: tuple[object, ...]) -> bytes:
    """Network of layers (operator, input, output, shape of each constant), each with random weights."""
    graph, random, channels = GraphWriter("layers"), np.random.default_rng(1), {"x": 3}
    for operator, source, output, *shapes in layers:
        constants = [
            graph.tensor(f"{output}-{place}", random.normal(0, 0.7, shape).astype(np.float32))
            for place, shape in enumerate(shapes)
        ]
        sources = [source] if isinstance(source, str) else source
        depthwise = operator == "Conv" and shapes[0][1] == 1
        graph.node(operator, [*sources, *constants], output, **({"group": shapes[0][0]} if depthwise else {}))
        channels[output] = shapes[0][0] if shapes else channels[sources[0]]
    return graph.model(("x", (1, 3, SIDE, SIDE)), ("y", (1, channels["y"], SIDE, SIDE)))


#: Networks, and whether convolutions get other weights: for more channels, or for the other sign.
NETWORKS = {
    "one convolution": (network(("Conv", "x", "y", (5, 3, 1, 1), (5,))), False),
    "PRelu of a network's input": (network(("PRelu", "x", "a", (3, 1, 1)), ("Identity", "a", "y")), False),
    "one slope for all": (network(("Conv", "x", "a", (8, 3, 1, 1)), ("PRelu", "a", "y", (1, 1, 1))), False),
    "PRelu at the end": (network(("Conv", "x", "a", (5, 3, 1, 1)), ("PRelu", "a", "y", (5, 1, 1))), False),
    "PRelu between convolutions": (
        network(
            ("Conv", "x", "a", (8, 3, 1, 1), (8,)),
            ("PRelu", "a", "b", (8, 1, 1)),
            ("Conv", "b", "y", (8, 8, 1, 1), (8,)),
        ),
        True,
    ),
    "odd channels between": (
        network(
            ("Conv", "x", "a", (5, 3, 1, 1), (5,)),
            ("PRelu", "a", "b", (5, 1, 1)),
            ("Conv", "b", "c", (5, 1, 1, 1)),
            ("PRelu", "c", "d", (5, 1, 1)),
            ("Conv", "d", "y", (7, 5, 1, 1), (7,)),
        ),
        True,
    ),
    "channels read by a sum too": (
        network(
            ("Conv", "x", "a", (5, 3, 1, 1)),
            ("PRelu", "a", "b", (5, 1, 1)),
            ("Conv", "b", "c", (5, 5, 1, 1)),
            ("Add", ("c", "b"), "y"),
        ),
        False,
    ),
    "two PRelu in a row, one of them twice read": (
        network(
            ("Conv", "x", "a", (8, 3, 1, 1), (8,)),
            ("PRelu", "a", "b", (8, 1, 1)),
            ("PRelu", "b", "c", (8, 1, 1)),
            ("Conv", "c", "d", (6, 8, 1, 1), (6,)),
            ("PRelu", "d", "e", (6, 1, 1)),
            ("Conv", "e", "f", (6, 6, 1, 1), (6,)),
            ("Add", ("f", "d"), "y"),
        ),
        False,
    ),
    "channels that are an answer": (
        network(("Conv", "x", "y", (5, 3, 1, 1)), ("Conv", "y", "z", (6, 5, 1, 1))),
        False,
    ),
}


def answer(model: bytes, value: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: value})[0]


def operators(model: bytes) -> list[str]:
    return [node.op_type for node in Model.FromString(model).graph.node]


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_the_same(name):
    model, weighs_anew = NETWORKS[name]
    value = np.random.default_rng(2).normal(0, 3, (1, 3, SIDE, SIDE)).astype(np.float32)
    value[0, :, 0, 0] = 0.0
    rewritten = in_blocks(model)
    assert np.allclose(answer(rewritten, value), answer(model, value), rtol=1e-5, atol=1e-5)
    assert ("PRelu" in operators(rewritten)) is (name in ("PRelu of a network's input", "one slope for all"))
    assert (b"/blocked/bias" in rewritten) is weighs_anew
    assert (rewritten == model) is (b"/blocked/" not in rewritten)


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda network: network.name)
def test_shipped_networks_answer_the_same(shipped):
    file = MODELS / shipped.file
    if not file.is_file():
        pytest.skip("no mirror of model files for tests")
    value = np.random.default_rng(1).uniform(0, 255, (1, 3, shipped.side, shipped.side)).astype(np.float32)
    model = file.read_bytes()
    assert "PRelu" in operators(model)
    assert "PRelu" not in operators(in_blocks(model))
    assert np.allclose(answer(in_blocks(model), value), answer(model, value), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end", [1, 5, 20, -1])
def test_cut_files_are_refused(end):
    with pytest.raises(ValueError, match="no model file"):
        in_blocks(NETWORKS["odd channels between"][0][:end])
