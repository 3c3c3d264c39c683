from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stream.bench import photographs
from stream.bench.photographs import SIZES
from stream.demo import attacks

SMALL = dataclasses.replace(SIZES["720x960"], width=180, height=240)


@pytest.mark.parametrize(("name", "least", "most"), [("720x960", 200_000, 320_000), ("1080x1440", 450_000, 750_000)])
def test_files_have_the_size_and_the_weight_of_selfies(name: str, least: int, most: int) -> None:
    size = SIZES[name]
    made = photographs.from_portrait(size)
    assert len(set(made)) == photographs.COPIES
    assert all(least < len(file) < most for file in made)
    assert attacks.decode(made[0]).shape == (size.height, size.width, 3)


@pytest.mark.parametrize("taken", [(90, 120), (400, 300)])
def test_own_pictures_are_scaled_to_the_long_side(tmp_path: Path, taken: tuple[int, int]) -> None:
    file = tmp_path / "own.jpg"
    file.write_bytes(photographs.from_portrait(dataclasses.replace(SMALL, width=taken[0], height=taken[1]))[0])
    (made,) = photographs.from_files(SMALL, [file])
    assert max(attacks.decode(made).shape) == 240
