"""Which rung is taken, in what order they are tried, and what is said of the ones that didn't hold."""

from __future__ import annotations

import pytest

from tests.services.choice import LOWEST_REAL, NotAvailable, Services, ServiceTier, capped, climb
from tests.services.session import ServiceTiers


class Rungs:
    """Starters that hold or not; remembers what was tried and closed."""

    def __init__(self, *holding: ServiceTier) -> None:
        self.tried: list[ServiceTier] = []
        self.closed: list[ServiceTier] = []
        self.starters = {rung: self._starter(rung, rung in holding) for rung in ServiceTier}

    def _starter(self, rung: ServiceTier, holds: bool):
        def start() -> Services:
            self.tried.append(rung)
            if not holds:
                raise NotAvailable(f"no {rung.name}")
            return Services(rung, {}, lambda: self.closed.append(rung))

        return start


@pytest.mark.parametrize("highest", list(ServiceTier))
def test_the_highest_that_holds_is_taken_and_nothing_below_is_started(highest: ServiceTier) -> None:
    rungs = Rungs(*(rung for rung in ServiceTier if rung <= highest))
    reached = climb(rungs.starters, ServiceTier.EMBEDDED)
    assert reached.services is not None
    assert reached.services.rung is highest
    assert rungs.tried == sorted((rung for rung in ServiceTier if rung >= highest), reverse=True)
    assert [rung for rung, _ in reached.missed] == rungs.tried[:-1]


def test_a_rung_below_the_lowest_accepted_is_not_tried() -> None:
    rungs = Rungs(ServiceTier.EMBEDDED)
    reached = climb(rungs.starters, LOWEST_REAL)
    assert reached.services is None
    assert rungs.tried == [ServiceTier.ADDRESSES, ServiceTier.CONTAINERS, ServiceTier.LOCAL]
    assert "containers: no CONTAINERS" in reached.why


def test_another_error_is_not_taken_for_a_missing_rung() -> None:
    def broken() -> Services:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        climb({ServiceTier.LOCAL: broken}, LOWEST_REAL)


def test_a_run_starts_services_once_and_closes_them() -> None:
    rungs = Rungs(ServiceTier.LOCAL, ServiceTier.EMBEDDED)
    ladder = ServiceTiers(rungs.starters)
    assert ladder.real() is ladder.real()
    assert ladder.any() is ladder.real()
    assert rungs.tried.count(ServiceTier.LOCAL) == 1
    assert ServiceTier.EMBEDDED not in rungs.tried
    ladder.close()
    assert rungs.closed == [ServiceTier.LOCAL]


def test_without_real_ones_an_embedded_test_gets_the_embedded_ones() -> None:
    rungs = Rungs(ServiceTier.EMBEDDED)
    ladder = ServiceTiers(rungs.starters)
    assert ladder.real().services is None
    reached = ladder.any()
    assert reached.services is not None
    assert reached.services.rung is ServiceTier.EMBEDDED
    assert [rung for rung, _ in reached.missed] == [ServiceTier.ADDRESSES, ServiceTier.CONTAINERS, ServiceTier.LOCAL]
    assert rungs.tried.count(ServiceTier.LOCAL) == 1
    ladder.close()
    assert rungs.closed == [ServiceTier.EMBEDDED]


def test_the_report_names_the_rung_and_why_not_a_higher_one() -> None:
    ladder = ServiceTiers(Rungs(ServiceTier.LOCAL).starters)
    assert list(ladder.report()) == ["services: no test needed any"]
    ladder.real()
    assert list(ladder.report()) == [
        "services: local services (deploy/local)",
        "  not addresses in the environment: no ADDRESSES",
        "  not containers: no CONTAINERS",
    ]


def test_rungs_can_be_left_out_on_purpose() -> None:
    rungs = Rungs(*ServiceTier)
    reached = climb(capped(rungs.starters, ServiceTier.LOCAL), ServiceTier.EMBEDDED)
    assert reached.services is not None
    assert reached.services.rung is ServiceTier.LOCAL
    assert rungs.tried == [ServiceTier.LOCAL]
