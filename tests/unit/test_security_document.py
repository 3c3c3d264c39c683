"""Rows of docs/SECURITY.md: each that says what a thief can do or see names a test (`test_documents` looks for it)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("title", "least"), [("Who can do what, by writing where", 15), ("How to change keys", 6)])
def test_each_row_names_a_test(title: str, least: int) -> None:
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in re.findall(r"^\|.*\|$", section, re.MULTILINE) if not re.match(r"\|-", line)]
    told = [row for row in rows if not row.endswith("| shown by |")]
    assert len(told) >= least
    assert [row for row in told if not re.search(r"`tests/[\w/]+\.py(::\w+)?`[^|]*\|$", row)] == []
