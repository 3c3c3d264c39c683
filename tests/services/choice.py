"""The choice of a rung: try them from the highest down, remember why each higher one didn't hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

KAFKA = "LIVENESS_KAFKA__BOOTSTRAP_SERVERS"
REDIS = "LIVENESS_REDIS__URL"


class ServiceTier(IntEnum):
    """From the least real to the one an operator chose by name."""

    EMBEDDED = 0
    LOCAL = 1
    CONTAINERS = 2
    ADDRESSES = 3

    @property
    def title(self) -> str:
        return _TITLES[self]


_TITLES = {
    ServiceTier.EMBEDDED: "embedded broker and store",
    ServiceTier.LOCAL: "local services (deploy/local)",
    ServiceTier.CONTAINERS: "containers",
    ServiceTier.ADDRESSES: "addresses in the environment",
}
#: The lowest rung with a real broker and a real Redis.
LOWEST_REAL = ServiceTier.LOCAL


class NotAvailable(Exception):
    """This rung doesn't hold here; the words say why."""


def _nothing_to_close() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Services:
    """A broker and a store that answer. `environment` holds the settings that lead to them."""

    rung: ServiceTier
    environment: Mapping[str, str]
    close: Callable[[], None] = field(default=_nothing_to_close, repr=False)


Starter = Callable[[], Services]


@dataclass(frozen=True, slots=True)
class Climb:
    """What came of it. `missed` holds the rungs above the one that was reached, highest first."""

    services: Services | None
    missed: tuple[tuple[ServiceTier, str], ...]

    @property
    def why(self) -> str:
        return "; ".join(f"{rung.title}: {reason}" for rung, reason in self.missed)


def climb(starters: Mapping[ServiceTier, Starter], lowest: ServiceTier) -> Climb:
    """The highest rung that holds, down to `lowest`. A starter is called at most once, highest first."""
    missed: list[tuple[ServiceTier, str]] = []
    for rung in _from_the_top(starters, lowest):
        try:
            return Climb(starters[rung](), tuple(missed))
        except NotAvailable as error:
            missed.append((rung, str(error)))
    return Climb(None, tuple(missed))


def _from_the_top(starters: Mapping[ServiceTier, Starter], lowest: ServiceTier) -> Sequence[ServiceTier]:
    return sorted((rung for rung in starters if rung >= lowest), reverse=True)


def capped(starters: Mapping[ServiceTier, Starter], highest: ServiceTier) -> dict[ServiceTier, Starter]:
    """The same rungs, those above `highest` left out on purpose."""

    def left_out() -> Services:
        raise NotAvailable("left out by --highest-rung")

    return {rung: starter if rung <= highest else left_out for rung, starter in starters.items()}
