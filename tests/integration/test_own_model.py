"""A face template model of one's own, compared by the cosine: from its file and manifest to a link between two
submissions, on a real broker and a real Redis. The network is a small picture of the face, no less and no more."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.policy import Policy
from detectors.analysis import FaceAnalyser
from detectors.contract import Template
from detectors.onnx.graph_writer import GraphWriter
from detectors.template import TemplateSource, describe
from detectors.template.impostors import TemplateDistance
from detectors.template.port import distance_between
from tests.e2e.abuse_cases import HASH_KEYS
from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.integration.test_reuse import submission, submitted
from tests.photographs import folder, photograph

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIDE, CELL = 112, 16
DIMENSION = 3 * (SIDE // CELL) ** 2
#: Bytes of a manifest's tables; `mean` makes faces differ by more than how bright they are.
INPUT = "[input]\nmean = [{mean}, {mean}, {mean}]\nscale = 40.0\n"


def write_network(folder: Path) -> str:
    graph = GraphWriter("small")
    value = graph.node("AveragePool", ["chip"], "cells", kernel_shape=(CELL, CELL), strides=(CELL, CELL))
    onnx = graph.model(
        ("chip", (1, 3, SIDE, SIDE)), (graph.node("Flatten", [value], "template", axis=1), (1, DIMENSION))
    )
    (folder / "small.onnx").write_bytes(onnx)
    return hashlib.sha256(onnx).hexdigest()


def write_manifest(folder: Path, name: str, mean: float, measured: dict[str, Any] | None) -> Path:
    """Numbers of some 4000 each: a template that nobody has normalised."""
    keys = {
        "name": "small",
        "version": "1",
        "file": "small.onnx",
        "sha256": write_network(folder),
        "licence": "CC0-1.0",
        "distance": "cosine",
    }
    lines = [f'{key} = "{value}"' for key, value in keys.items()] + [f"dimension = {DIMENSION}"]
    tables = INPUT.format(mean=mean)
    if measured is not None:
        fit = measured["impostors"]
        lines.append(f"genuine_threshold = {measured['proposed_threshold']}")
        tables += f'[calibration]\nkind = "{fit["kind"]}"\ndof = {fit["dof"]}\nscale = {fit["scale"]}\n'
    path = folder / name
    path.write_text("\n".join(lines) + "\n" + tables)
    return path


def templates(manifest: Path, pictures: list[bytes]) -> list[Template]:
    analyser = FaceAnalyser(Policy(), None, TemplateSource(manifest=manifest, cache=manifest.parent))
    made = [analyser.analyse(picture).template for picture in pictures]
    analyser.close()
    assert all(made)
    return [each for each in made if each is not None]


def apart(one: Template, other: Template) -> float:
    first, second = (np.frombuffer(each.vector, "<f4") for each in (one, other))
    return distance_between(first, second, TemplateDistance.COSINE)


async def test_own_model_links_faces(install: MakeInstallation, tmp_path: Path) -> None:
    selfie, other = photograph("person_a_1"), photograph("person_b_1")
    brighter = np.clip(selfie * 1.05, 0, 255).astype(np.uint8)
    bare = write_manifest(tmp_path, "bare.toml", 127.5, None)
    measuring = await install(partitions=1, detection__template_manifest=str(bare))
    calibrated = await liveness(measuring, "models", "calibrate", str(folder()), "--json")
    assert calibrated.document["model"]["distance"] == "cosine"
    manifest = write_manifest(tmp_path, "model.toml", 127.5, calibrated.document)

    installation = await install(partitions=1, abuse__hash_keys=HASH_KEYS, detection__template_manifest=str(manifest))
    listed = (await liveness(installation, "models", "list", "--json")).document["models"][-1]
    assert (listed["name"], listed["licence"], listed["ready"]) == ("small", "CC0-1.0", True)

    worker = await installation.workers.start().ready()
    sent = [submission(selfie, 0), submission(other, 1), submission(brighter, 2)]
    told = await submitted(installation, sent)
    (link,) = [each for each in told["sub-2"]["abuse"]["links"] if each["kind"] == "face"]
    assert [end["submission"] for end in link["ends"]] == ["sub-0", "sub-2"]
    first, stranger, again = templates(manifest, [each.image for each in sent])
    assert apart(first, again) > 0.002
    assert link["distance"] == pytest.approx(apart(first, again), abs=0.0005)
    assert np.linalg.norm(np.frombuffer(first.vector, "<f4")) == pytest.approx(1.0)
    spec, _ = describe(TemplateSource(manifest=manifest, cache=tmp_path))
    assert spec.impostors is not None
    bound = spec.impostors.distance_for(0.01 / link["gallery"])
    assert link["threshold"] == pytest.approx(min(bound, spec.genuine_threshold or 0.0), abs=0.0001)
    assert apart(first, stranger) > link["threshold"]
    assert told["sub-1"]["abuse"]["links"] == []

    # The same file, fed in another way: what it makes is compared with none of the above.
    changed = write_manifest(tmp_path, "changed.toml", 120.0, calibrated.document)
    (other_way,) = templates(changed, [sent[0].image])
    assert other_way.model_sha256 != first.model_sha256
    worker.terminate()
    await worker.ended()
    await installation.workers.start(detection__template_manifest=str(changed)).ready()
    more = [submission(selfie, 3, quality=70), submission(selfie, 4, quality=80)]
    told = await submitted(installation, more)
    assert told["sub-3"]["abuse"]["face_comparison"] == {"faces": 0, "complete": True}
    faces = {name: [each for each in told[name]["abuse"]["links"] if each["kind"] == "face"] for name in told}
    assert (len(faces["sub-3"]), len(faces["sub-4"])) == (0, 1)
