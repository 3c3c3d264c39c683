"""The passive signals (PAD sub-scores in the words of ISO/IEC 30107), one file each.

`base` has the port, the observation and the score maps; `crops` cuts the face for the two texture signals.
The numbers beside the score maps were measured on bona fide photographs and simulated presentation attacks by
`tests/bench/signal_ranges.py`; measure again after any change to `frame` or to a measurement.
To add a signal: write its file, named as the signal, with one class of that name in capitals (`head_pose.py`,
`HeadPose`), and give the signal a line in `config.catalogues.detector_catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module

from config.catalogues.detector_catalogue import DETECTORS, KNOWN
from config.limits.signals import SignalParameters
from detectors.signals.base import FaceObservation, Signal

__all__ = ["SIGNALS", "FaceObservation", "Signal", "build"]


def _signal_class(name: str) -> Callable[[SignalParameters], Signal]:
    """The class of a catalogued signal, by the naming rule above; ImportError or AttributeError if there is none."""
    found: Callable[[SignalParameters], Signal] = getattr(
        import_module(f"{__name__}.{name}"), name.title().replace("_", "")
    )
    return found


#: Imported with this package, and so once, by the fork server.
SIGNALS = {name: _signal_class(name) for name in KNOWN}


def build(parameters: SignalParameters, names: Collection[str] = tuple(DETECTORS)) -> tuple[Signal, ...]:
    """Signals of these names with their tables, in this order, by default the published ones; called once per
    process."""
    return tuple(SIGNALS[name](parameters) for name in names)
