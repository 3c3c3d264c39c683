"""Which rung is taken, in what order they are tried, and what is said of the ones that didn't hold."""

from __future__ import annotations

import pytest

from tests.ladder.choice import LOWEST_REAL, NotAvailable, Rung, Services, capped, climb
from tests.ladder.session import Ladder


class Rungs:
    """Starters that hold or not; remembers what was tried and closed."""

    def __init__(self, *holding: Rung) -> None:
        self.tried: list[Rung] = []
        self.closed: list[Rung] = []
        self.starters = {rung: self._starter(rung, rung in holding) for rung in Rung}

    def _starter(self, rung: Rung, holds: bool):
        def start() -> Services:
            self.tried.append(rung)
            if not holds:
                raise NotAvailable(f"no {rung.name}")
            return Services(rung, {}, lambda: self.closed.append(rung))

        return start


@pytest.mark.parametrize("highest", list(Rung))
def test_the_highest_that_holds_is_taken_and_nothing_below_is_started(highest: Rung) -> None:
    rungs = Rungs(*(rung for rung in Rung if rung <= highest))
    reached = climb(rungs.starters, Rung.EMBEDDED)
    assert reached.services is not None
    assert reached.services.rung is highest
    assert rungs.tried == sorted((rung for rung in Rung if rung >= highest), reverse=True)
    assert [rung for rung, _ in reached.missed] == rungs.tried[:-1]


def test_a_rung_below_the_lowest_accepted_is_not_tried() -> None:
    rungs = Rungs(Rung.EMBEDDED)
    reached = climb(rungs.starters, LOWEST_REAL)
    assert reached.services is None
    assert rungs.tried == [Rung.ADDRESSES, Rung.CONTAINERS, Rung.LOCAL]
    assert "containers: no CONTAINERS" in reached.why


def test_another_error_is_not_taken_for_a_missing_rung() -> None:
    def broken() -> Services:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        climb({Rung.LOCAL: broken}, LOWEST_REAL)


def test_a_run_starts_services_once_and_closes_them() -> None:
    rungs = Rungs(Rung.LOCAL, Rung.EMBEDDED)
    ladder = Ladder(rungs.starters)
    assert ladder.real() is ladder.real()
    assert ladder.any() is ladder.real()
    assert rungs.tried.count(Rung.LOCAL) == 1
    assert Rung.EMBEDDED not in rungs.tried
    ladder.close()
    assert rungs.closed == [Rung.LOCAL]


def test_without_real_ones_an_embedded_test_gets_the_embedded_ones() -> None:
    rungs = Rungs(Rung.EMBEDDED)
    ladder = Ladder(rungs.starters)
    assert ladder.real().services is None
    reached = ladder.any()
    assert reached.services is not None
    assert reached.services.rung is Rung.EMBEDDED
    assert [rung for rung, _ in reached.missed] == [Rung.ADDRESSES, Rung.CONTAINERS, Rung.LOCAL]
    assert rungs.tried.count(Rung.LOCAL) == 1
    ladder.close()
    assert rungs.closed == [Rung.EMBEDDED]


def test_the_report_names_the_rung_and_why_not_a_higher_one() -> None:
    ladder = Ladder(Rungs(Rung.LOCAL).starters)
    assert list(ladder.report()) == ["services: no test needed any"]
    ladder.real()
    assert list(ladder.report()) == [
        "services: local services (deploy/local)",
        "  not addresses in the environment: no ADDRESSES",
        "  not containers: no CONTAINERS",
    ]


def test_rungs_can_be_left_out_on_purpose() -> None:
    rungs = Rungs(*Rung)
    reached = climb(capped(rungs.starters, Rung.LOCAL), Rung.EMBEDDED)
    assert reached.services is not None
    assert reached.services.rung is Rung.LOCAL
    assert rungs.tried == [Rung.LOCAL]
