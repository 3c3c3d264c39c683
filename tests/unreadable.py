"""A header name that is not UTF-8, as a client in C can send it."""

from __future__ import annotations


class Unreadable(str):
    """Pretends to be text to the pure-Python record builder and encodes to the bytes it was made of."""

    def __new__(cls, raw: bytes) -> Unreadable:
        made = super().__new__(cls, raw.decode("latin-1"))
        made.raw = raw
        return made

    raw: bytes

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.raw
