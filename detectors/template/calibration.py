"""Calibration of a template model on labelled photographs: distances within one person and between two.

Words of ISO/IEC 19795: a genuine pair is two pictures of one person, an impostor pair of two; FMR is the share of
impostor pairs within a distance, FNMR the share of genuine pairs beyond it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.template import built_in
from detectors.template.impostors import ImpostorModel, fit
from detectors.template.port import TemplateSpec, distance_between

#: Distance, and what the two pictures are called.
_Pair = tuple[float, tuple[str, str]]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_NAMED = re.compile(r"person_(?P<person>.+)_\d+")
#: Distances of the printed table, as shares of the largest measured one.
_TABLE_ROWS = 20
#: The threshold proposed is where the fit expects one false match in so many.
ONE_FALSE_MATCH_IN = 10_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """Template of a known person."""

    person: str
    vector: NDArray[np.float32]
    #: What its picture is called, for people.
    name: str = ""


@dataclass(frozen=True, slots=True)
class RateRow:
    """Error rates at a distance: shares from 0 to 1."""

    threshold: float
    fmr: float
    fnmr: float
    #: The fit's FMR.
    expected_fmr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Measured distances of one model, in ascending order, and the impostor model fitted to them."""

    model: TemplateSpec
    people: int
    pictures: int
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]
    impostors: ImpostorModel
    #: What the pictures farthest apart of one person are called, and the nearest of two.
    worst_genuine: tuple[str, str] = ("", "")
    nearest_impostor: tuple[str, str] = ("", "")

    @property
    def proposed_threshold(self) -> float:
        """Distance for one false match in `ONE_FALSE_MATCH_IN`, at most the nearest pair of strangers measured."""
        return min(self.impostors.distance_for(1 / ONE_FALSE_MATCH_IN), self.impostor[0])

    def rates(self) -> tuple[RateRow, ...]:
        highest = max(*self.genuine, *self.impostor)
        return tuple(self.rate(highest * step / _TABLE_ROWS) for step in range(1, _TABLE_ROWS + 1))

    def rate(self, threshold: float) -> RateRow:
        return RateRow(
            threshold=threshold,
            fmr=sum(each <= threshold for each in self.impostor) / len(self.impostor),
            fnmr=sum(each > threshold for each in self.genuine) / len(self.genuine),
            expected_fmr=self.impostors.false_match_rate(threshold),
        )


def labelled_pictures(folder: Path) -> list[tuple[str, Path]]:
    """(person, picture): files `person_X_N.*` directly in the folder, and every picture in a sub-folder of the
    person's name. Other pictures have no label and are left out."""
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found += [(path.name, each) for each in sorted(path.iterdir()) if _is_picture(each)]
        elif _is_picture(path) and (named := _NAMED.fullmatch(path.stem)):
            found.append((named["person"], path))
    return found


def unlabelled_pictures(folder: Path) -> list[Path]:
    """Pictures directly in the folder whose names say nothing of a person."""
    return [path for path in sorted(folder.iterdir()) if _is_picture(path) and not _NAMED.fullmatch(path.stem)]


def calibrate(model: TemplateSpec, templates: Sequence[Labelled]) -> Calibration:
    """Calibration from labelled templates; raises ValueError without a genuine pair or enough impostor pairs to fit."""
    genuine: list[_Pair] = []
    impostor: list[_Pair] = []
    for first, second in itertools.combinations(templates, 2):
        distance = distance_between(first.vector, second.vector, model.distance)
        (genuine if first.person == second.person else impostor).append((distance, (first.name, second.name)))
    if not genuine:
        raise ValueError("no two usable pictures show the same person")
    impostors = fit([distance for distance, _ in impostor], model.distance)
    genuine.sort()
    impostor.sort()
    return Calibration(
        model=model,
        people=len({each.person for each in templates}),
        pictures=len(templates),
        genuine=tuple(distance for distance, _ in genuine),
        impostor=tuple(distance for distance, _ in impostor),
        impostors=impostors,
        worst_genuine=genuine[-1][1],
        nearest_impostor=impostor[0][1],
    )


def calibration_table(measured: Calibration) -> str:
    """`[calibration]` as a manifest has it, at any place among the manifest's tables."""
    return f"""[calibration]
genuine_threshold = {measured.proposed_threshold:.4f}
kind = "chi2"
dof = {measured.impostors.dof:.4f}
scale = {measured.impostors.scale:.6f}
"""


def as_toml(measured: Calibration, source: str) -> str:
    """The fit, the threshold, and what stands behind them: of the built-in model a whole manifest, of another what to
    append to its manifest. `source` names the pictures."""
    model = measured.model
    whole = "built_in = true\n\n" if model.space_sha256 == built_in.spec().space_sha256 else ""
    return f"""# Written by `liveness models calibrate FOLDER --toml FILE`. The fit extrapolates from the pairs
# below: with few people it is a start, not an error rate. Calibrate on your own labelled pictures before relying on it.
{whole}{calibration_table(measured)}
[provenance]
source = "{source}"
model = "{model.name}"
model_version = "{model.version}"
model_sha256 = "{model.sha256}"
distance = "{model.distance}"
people = {measured.people}
pictures = {measured.pictures}
genuine_pairs = {len(measured.genuine)}
impostor_pairs = {len(measured.impostor)}
farthest_genuine = {measured.genuine[-1]:.4f}
nearest_impostor = {measured.impostor[0]:.4f}
"""


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
