"""The choice of a service tier: tried from the highest down, with the reason each higher one wasn't taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
#: The lowest tier with a real broker and a real Redis.
LOWEST_REAL = ServiceTier.LOCAL


class NotAvailable(Exception):
    """A tier that this machine lacks; the words say why."""


@dataclass(frozen=True, slots=True)
class Services:
    """A broker and a store that answer. `environment` holds the settings that lead to them."""

    tier: ServiceTier
    environment: Mapping[str, str]
    close: Callable[[], None] = field(default=lambda: None, repr=False)


Starter = Callable[[], Services]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The services of a choice, None without any. `missed` holds the tiers above, highest first, with the reasons."""

    services: Services | None
    missed: tuple[tuple[ServiceTier, str], ...]

    @property
    def why(self) -> str:
        return "; ".join(f"{tier.title}: {reason}" for tier, reason in self.missed)


def choose(starters: Mapping[ServiceTier, Starter], lowest: ServiceTier) -> Chosen:
    """The highest tier that answers, down to `lowest`. A starter is called at most once, highest first."""
    missed: list[tuple[ServiceTier, str]] = []
    for tier in sorted((tier for tier in starters if tier >= lowest), reverse=True):
        try:
            return Chosen(starters[tier](), tuple(missed))
        except NotAvailable as error:
            missed.append((tier, str(error)))
    return Chosen(None, tuple(missed))


def capped(starters: Mapping[ServiceTier, Starter], highest: ServiceTier) -> dict[ServiceTier, Starter]:
    """The same tiers, those above `highest` left out on purpose."""

    def left_out() -> Services:
        raise NotAvailable("left out by --highest-tier")

    return {tier: starter if tier <= highest else left_out for tier, starter in starters.items()}
