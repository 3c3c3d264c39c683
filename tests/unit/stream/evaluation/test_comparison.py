"""Two policies on one picture set: which turns are for the better."""

from __future__ import annotations

import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from stream.evaluation.comparison import comparison, comparison_headline, comparison_tables
from stream.evaluation.figures import document
from stream.evaluation.judged import judged
from tests.unit.stream.evaluation.builders import analysed


@pytest.mark.parametrize(
    ("before", "after", "species", "turn"),
    [
        (0.9, 0.5, "", ("LIVE", "SPOOF", False)),
        (0.5, 0.58, "", ("SPOOF", "INCONCLUSIVE", True)),
        (0.58, 0.9, "mask", ("INCONCLUSIVE", "LIVE", False)),
        (0.9, 0.58, "mask", ("LIVE", "INCONCLUSIVE", True)),
        (0.9, ErrorCode.NO_FACE_DETECTED, "mask", ("LIVE", "NO_FACE_DETECTED", True)),
        (0.58, ErrorCode.NO_FACE_DETECTED, "", ("INCONCLUSIVE", "NO_FACE_DETECTED", False)),
        (0.7, 0.9, "", None),
    ],
)
def test_turns(before: float, after: float | ErrorCode, species: str, turn: tuple[str, str, bool] | None) -> None:
    a, b = (document("set", judged([analysed("x", each, species)], Policy()), Policy()) for each in (before, after))
    compared = comparison(a, b)
    assert [(each["a"], each["b"], each["mended"]) for each in compared["turned"]] == ([turn] if turn else [])
    assert sum(each["pictures"] for each in compared["turns"]) == bool(turn)
    assert comparison_headline(compared)[1].startswith(f"{int(bool(turn))} of 1 verdicts turn")
    assert len(list(comparison_tables(compared))) == (3 if turn else 1)
