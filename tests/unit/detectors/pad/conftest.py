"""Sources of the tiny network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from detectors.pad import PadSource
from tests.tiny_network import tiny_source


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., PadSource]:
    return partial(tiny_source, tmp_path)
