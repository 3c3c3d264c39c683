"""Gauges of network lists; a removed list has none."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from abuse.networks.lists import ListState
from stream.runtime.metrics import observe_network_lists


@pytest.fixture(autouse=True)
def _cleared():
    yield
    observe_network_lists(())


def shown(gauge: str, name: str) -> float | None:
    return REGISTRY.get_sample_value(f"liveness_network_list_{gauge}", {"list": name})


def a_list(name: str, *, used: bool = True, file: str | None = None, age_days: float | None = 1.5) -> ListState:
    return ListState(file=file or f"{name}.netset", name=name, used=used, networks=7, age_days=age_days)


def test_age_and_size_in_use():
    observe_network_lists([a_list("tor"), a_list("old", used=False, age_days=20.0)])
    assert (shown("age_seconds", "tor"), shown("networks", "tor")) == (129_600.0, 7)
    assert (shown("age_seconds", "old"), shown("networks", "old")) == (1_728_000.0, 0)


def test_unread_and_removed_lists():
    observe_network_lists([a_list("tor"), a_list("broken", used=False, age_days=None)])
    assert shown("age_seconds", "broken") is None
    observe_network_lists([])
    assert (shown("age_seconds", "tor"), shown("networks", "tor")) == (None, None)


def test_used_file_of_two_counts():
    both = [a_list("tor", age_days=2.0), a_list("tor", used=False, file="tor.ipset")]
    for order in (both, both[::-1]):
        observe_network_lists(order)
        assert (shown("age_seconds", "tor"), shown("networks", "tor")) == (172_800.0, 7)
