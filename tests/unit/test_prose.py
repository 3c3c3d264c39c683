"""The check of prose finds what it is for, and lets plain sentences pass."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PROSE = Path(__file__).resolve().parents[2] / ".ci" / "prose.py"
_spec = importlib.util.spec_from_file_location("prose", PROSE)
assert _spec is not None
assert _spec.loader is not None
prose = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(prose)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""It reads a topic."""', "begins with 'It'"),
        ('"""Sweeper."""\n\ndef sweep():\n    """Whoever does it does the same."""\n', "begins with 'Whoever'"),
        ('"""Links."""\n\nclass Link:\n    """What two share."""\n', "begins with 'What'"),
        ("count = 1", "no module docstring"),
        ('"""A gate."""\ndossier = 1\n', "'dossier' is not the field's word"),
        ('"""A gate."""\n# one lane each\n', "'lane' is not the field's word"),
        ('"""A gate."""\nown_sightings = 1\n', "'sightings' is not the field's word"),
    ],
)
def test_breach_is_found(source, words):
    assert any(words in line for line in prose.findings("stream/made_up.py", source))


@pytest.mark.parametrize(
    "source",
    [
        "",
        '"""Sweeping is idempotent: two workers may sweep the same flag."""\n',
        '"""Gate."""\nname = "liveness_abuse_objections_total"\nplane = planet = 1\n',
    ],
)
def test_plain_prose_passes(source):
    assert list(prose.findings("stream/made_up.py", source)) == []
