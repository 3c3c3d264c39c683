"""Coroutines begun in place: a coroutine that need not wait is done without a task, and its result is there at once."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Begun:
    """Begun coroutine, to be awaited once from where it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine, self._waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, waits_for = self._coroutine, self._waits_for
        try:
            while True:
                try:
                    answer = yield waits_for
                except BaseException as error:
                    waits_for = coroutine.throw(error)
                else:
                    waits_for = coroutine.send(answer)
        except StopIteration as end:
            return end.value


def begin(coroutine: Coroutine[Any, Any, T]) -> T | Begun:
    """Result of a coroutine that ends without waiting, else the coroutine as far as it came. Raises what it raises.

    Until its first wait the coroutine runs in the caller's task, and must not ask which task that is.
    """
    try:
        return Begun(coroutine, coroutine.send(None))
    except StopIteration as end:
        found: T = end.value
        return found
