"""The slot plan: how every slot is to be made, told to the fork server once, at its start.

Pickle is used in one direction only, from the worker to its own children, for the plan and the analyser's factory.
"""

from __future__ import annotations

import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from detectors.contract import Analyser
from detectors.pool.settings import PoolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """Plan of every slot. `factory` is unpacked in the slot only: its modules may start threads, and no process with
    threads may fork. `readable`: all files and folders that slots may read."""

    factory: bytes
    settings: PoolSettings
    readable: tuple[str, ...]


#: Makes the analyser in each slot: a function, or `module:name` where importing the function would load native code.
AnalyserFactory = Callable[..., Analyser] | str


def pack_factory(factory: AnalyserFactory, args: tuple[Any, ...]) -> bytes:
    """Factory and arguments as bytes; raises ValueError for a factory that a slot could not import."""
    if getattr(factory, "__module__", None) == "__main__":
        raise ValueError("the analyser factory is in __main__, which slots don't import: move it to a module")
    try:
        return pickle.dumps((factory, args))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"the analyser factory and its arguments must be picklable: {error}") from None


def build_analyser(packed: bytes) -> Analyser:
    factory, args = pickle.loads(packed)  # noqa: S301  # written by the parent process, see above
    analyser: Analyser = (pkgutil.resolve_name(factory) if isinstance(factory, str) else factory)(*args)
    return analyser
