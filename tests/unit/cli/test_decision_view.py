"""Decisions as people see them: what tells nothing is left out."""

from __future__ import annotations

import pytest

from stream.cli.decision_view import _explained


@pytest.mark.parametrize(
    ("code", "weight", "shown"),
    [
        ("capture_not_attested", 0.0, False),
        ("capture_not_attested", 1.0, True),
        ("captured_by_web", 0.0, True),
        ("screen_size", 0.5, True),
    ],
)
def test_indications(code, weight, shown):
    """A capture that need not be attested is nothing to look at; one that must be is."""
    told = {"code": code, "weight": weight, "detail": "words of the check"}
    lines = _explained({"injection": {"verdict": "Live", "indications": [told]}})
    assert ["words of the check" in each.plain for each in lines] == [True] * shown
