"""The closed table of error codes: each has a meaning and a next step, in words of its own."""

from __future__ import annotations

from config.catalogues.error_codes import MEANING, ErrorCode


def test_every_code_says_what_happened_and_what_to_do():
    assert set(MEANING) == set(ErrorCode)
    words = [word for pair in MEANING.values() for word in pair]
    assert all(words)
    assert len(set(words)) == len(words)


def test_a_code_reads_as_it_is_named():
    assert all(code.value == code.name == str(code) for code in ErrorCode)
