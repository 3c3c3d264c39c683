"""Presentation-attack networks that are described ready to use: what each file is, and how a network is fed.

Data only, no native code. A network takes part where its file lies in the cache (`liveness models fetch`), or where
its own manifest is configured (`detectors.pad.manifest`). Sources and measurements are in docs/DETECTION.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

#: Before a network's name in the name of its signal.
PREFIX = "pad_"
#: Limit of a network's log-odds of bona fide, either way: what a network says beyond it is no better founded.
MOST_LOG_ODDS = 8.0
#: PAI species of the evaluation that `auc` is from, with the number of attacks of each: 64 bona fide pictures of nine
#: collections against these (`liveness evaluate`, November 2026; non-responses left out). Generated faces are files, no
#: presentations to a camera: the networks rate them as people.
SPECIES: Mapping[str, int] = MappingProxyType({"cutout": 21, "screen": 16, "mask": 64, "generated": 90})
#: Reason where a network, or their mean, takes the picture for an attack.
SUSPECTED = "attack_suspected"


def _auc(*figures: float) -> tuple[tuple[str, float], ...]:
    return tuple(zip(SPECIES, figures, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PadNetwork:
    """Presentation-attack network: an ONNX file with one input, a square crop of the face, and a score for each class.

    The crop is `crop_scale` times the face box: `shifted` keeps the box's shape, shrinks to the frame and moves inside,
    `square` takes the longer side and reflects the frame at its borders. Pixels are fed as (value - mean) * scale, in
    `colour` order. Class `live_index` is bona fide; `output_kind` says whether the scores are logits or probabilities.
    `opt_in` is what an operator must accept before the network may be used, empty where nothing stands against that.
    `auc`: area under the ROC curve by PAI species as last evaluated (`SPECIES`); empty for an operator's own network.
    """

    name: str
    label: str
    version: str
    file: str
    sha256: str
    licence: str
    trained_on: str
    home: str = ""
    opt_in: str = ""
    colour: Literal["rgb", "bgr"] = "bgr"
    layout: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    side: int
    crop: Literal["shifted", "square"]
    crop_scale: float
    resize: Literal["bilinear", "lanczos_or_area"] = "bilinear"
    live_index: int
    output_kind: Literal["logits", "probabilities"]
    output: str | None = None
    auc: tuple[tuple[str, float], ...] = ()

    @property
    def signal(self) -> str:
        """Name of the network's signal in a decision."""
        return PREFIX + self.name


_SILENT_FACE = "https://github.com/yakhyo/face-anti-spoofing/raw/c175efe/weights"
_MINIFASNET = partial(
    PadNetwork,
    version="c175efe",
    licence="Apache-2.0",
    trained_on="minivision-ai/Silent-Face-Anti-Spoofing, the publisher's own pictures",
    side=80,
    crop="shifted",
    live_index=1,
    output_kind="logits",
)

SHIPPED: tuple[PadNetwork, ...] = (
    _MINIFASNET(
        name="minifasnet_v2",
        label="MiniFASNet V2 (face and surroundings)",
        file="MiniFASNetV2.onnx",
        sha256="4eed38f0bde33c9b805942a5f25e42ce1161e2bda545254be622be957727794e",
        home=f"{_SILENT_FACE}/MiniFASNetV2.onnx",
        crop_scale=2.7,
        auc=_auc(1.00, 0.98, 0.73, 0.40),
    ),
    _MINIFASNET(
        name="minifasnet_v1se",
        label="MiniFASNet V1SE (wide surroundings)",
        file="MiniFASNetV1SE.onnx",
        sha256="d819a69bac6b9ade2a0f4d9b60b618e1260f7bf3ba1fddff6c5d82131cb1083f",
        home=f"{_SILENT_FACE}/MiniFASNetV1SE.onnx",
        crop_scale=4.0,
        auc=_auc(1.00, 0.98, 0.75, 0.38),
    ),
    PadNetwork(
        name="fr_liveness",
        label="Faceplugin liveness",
        version="2019931",
        file="faceplugin_fr_liveness.onnx",
        sha256="afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d",
        licence="MIT as stated by its publisher",
        trained_on="not stated",
        home="https://github.com/Faceplugin-ltd/FaceRecognition-LivenessDetection-Javascript/raw/"
        "2019931910df5eae72080f87f5ff74bd743ddc7e/model/fr_liveness.onnx",
        side=128,
        crop="shifted",
        crop_scale=2.7,
        live_index=0,
        output_kind="logits",
        auc=_auc(1.00, 0.96, 0.89, 0.30),
    ),
    PadNetwork(
        name="antispoof_9780",
        label="Antispoof 97.80",
        version="2b9830b",
        file="antispoof_9780.onnx",
        sha256="c7752c4c6315e7779fc6f3124e8d352e7583b0a55bcd1497a4162b0a54150c2c",
        licence="Apache-2.0 as stated by its author",
        trained_on="CelebA-Spoof",
        home="https://github.com/johnraivenolazo/face-antispoof-onnx/raw/"
        "2b9830bb0eccafddcf0abcedf5c6ad506f0a1142/models/best/97.80/best_model.onnx",
        opt_in="Trained on CelebA-Spoof, whose agreement allows non-commercial research only.",
        colour="rgb",
        scale=1 / 255,
        side=128,
        crop="square",
        crop_scale=1.5,
        resize="lanczos_or_area",
        live_index=0,
        output_kind="logits",
        auc=_auc(0.99, 0.99, 0.59, 0.23),
    ),
)


def network_file(network: PadNetwork, cache: Path) -> Path:
    """Place of a shipped network's file in the cache folder; the file need not exist."""
    return cache / "models" / network.file


def chosen(names: Collection[str] | None, cache: Path) -> tuple[PadNetwork, ...]:
    """Shipped networks that take part: those named; by default (None) those fetched that need no acceptance. Raises
    ValueError for an unknown name."""
    if names is None:
        return tuple(each for each in SHIPPED if not each.opt_in and network_file(each, cache).is_file())
    unknown = sorted(set(names) - {each.name for each in SHIPPED})
    if unknown:
        known = ", ".join(each.name for each in SHIPPED)
        raise ValueError(f"there is no network {unknown[0]}; known: {known}")
    return tuple(each for each in SHIPPED if each.name in names)
