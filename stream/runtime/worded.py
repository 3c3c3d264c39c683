"""Codes with words: values for programs, labels and headers, each with a sentence for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Worded(StrEnum):
    """Closed set of codes; a member is written as its value and its `words`, which quote nothing."""

    words: str

    def __new__(cls, value: str, words: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.words = value, words
        return member
