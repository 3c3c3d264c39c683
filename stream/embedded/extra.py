"""The packages of the extra `demo`: `liveness demo`, `dev` and `bench` need them, a worker doesn't."""

from __future__ import annotations

from importlib.util import find_spec

#: Module -> package. The store's Redis isn't here: it need not come from a package.
_PACKAGES = {"confluent_kafka": "confluent-kafka", "skimage": "scikit-image"}


class ExtraMissing(Exception):
    """A package of the extra isn't installed; the text says how to install the extra."""


def require() -> None:
    """Raise ExtraMissing unless the packages are installed.

    Called by a command before it starts anything. Imports none of them.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ExtraMissing(f"{' and '.join(missing)} not installed: pip install 'liveness-stream[demo]'")
