"""The cache folder, of the product and of the scripts that start local services."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.cache import cache_folder

CASES = [
    ({"HOME": "/home/x"}, "/home/x/.cache/liveness-stream"),
    ({"HOME": "/home/x", "XDG_CACHE_HOME": "/var/cache/x"}, "/var/cache/x/liveness-stream"),
    ({"HOME": "/home/x", "XDG_CACHE_HOME": "/var/cache/x", "LIVENESS_CACHE_DIR": "/models"}, "/models"),
    ({"HOME": "/home/x", "LIVENESS_CACHE_DIR": ""}, "/home/x/.cache/liveness-stream"),
]


@pytest.mark.parametrize(("variables", "expected"), CASES)
def test_where_it_is(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "LIVENESS_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert cache_folder() == Path(expected)


def test_a_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder({"LIVENESS_CACHE_DIR": "here"}) == tmp_path / "here"
