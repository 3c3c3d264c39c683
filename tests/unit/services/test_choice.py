"""The choice of a service tier: order, reasons of those that weren't taken, and one start a run."""

from __future__ import annotations

import pytest

from tests.services.choice import LOWEST_REAL, NotAvailable, Services, ServiceTier, choose
from tests.services.session import ServiceTiers

EMBEDDED, LOCAL, CONTAINERS, ADDRESSES = ServiceTier
HIGHEST_FIRST = sorted(ServiceTier, reverse=True)


class Starters:
    """Starters that answer for `there` only; remembers which were tried and closed."""

    def __init__(self, *there: ServiceTier) -> None:
        self.tried: list[ServiceTier] = []
        self.closed: list[ServiceTier] = []
        self.by_tier = {tier: self._starter(tier, tier in there) for tier in ServiceTier}

    def _starter(self, tier: ServiceTier, there: bool):
        def start() -> Services:
            self.tried.append(tier)
            if not there:
                raise NotAvailable(f"no {tier.name}")
            return Services(tier, {}, lambda: self.closed.append(tier))

        return start


@pytest.mark.parametrize("highest", list(ServiceTier))
def test_highest_is_taken(highest: ServiceTier) -> None:
    starters = Starters(*(tier for tier in ServiceTier if tier <= highest))
    chosen = choose(starters.by_tier, EMBEDDED)
    assert chosen.services is not None
    assert chosen.services.tier is highest
    assert starters.tried == [tier for tier in HIGHEST_FIRST if tier >= highest]
    assert [tier for tier, _ in chosen.missed] == starters.tried[:-1]


def test_lower_than_accepted_isnt_tried() -> None:
    starters = Starters(EMBEDDED)
    chosen = choose(starters.by_tier, LOWEST_REAL)
    assert chosen.services is None
    assert starters.tried == [ADDRESSES, CONTAINERS, LOCAL]
    assert "containers: no CONTAINERS" in chosen.why


@pytest.mark.parametrize(
    ("there", "real", "any_"), [((LOCAL, EMBEDDED), LOCAL, LOCAL), ((EMBEDDED,), None, EMBEDDED), ((), None, None)]
)
def test_run_starts_services_once(there, real: ServiceTier | None, any_: ServiceTier | None) -> None:
    """Real services serve embedded tests too; a second question starts nothing; each is closed at the end."""
    starters = Starters(*there)
    tiers = ServiceTiers(starters.by_tier)
    assert list(tiers.report()) == ["services: no test needed any"]
    for chosen, wanted in ((tiers.real(), real), (tiers.any(), any_)) * 2:
        assert (chosen.services and chosen.services.tier) == wanted
    assert [tier for tier, _ in tiers.any().missed] == [tier for tier in HIGHEST_FIRST if any_ is None or tier > any_]
    assert len(starters.tried) == len(set(starters.tried))
    assert (EMBEDDED in starters.tried) == (real is None)
    tiers.close()
    assert starters.closed == ([] if any_ is None else [any_])
