"""Labels of the signals by name, in the order every decision lists them. Imports no native code."""

from __future__ import annotations

from config.catalogues.detector_catalogue import DETECTORS

SIGNAL_LABELS: dict[str, str] = {name: spec.label for name, spec in DETECTORS.items()}
