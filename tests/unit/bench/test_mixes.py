"""Mixes of the benchmark: who is a stranger, who comes again, and that the worker takes what is sent."""

from __future__ import annotations

from collections import Counter

import pytest

from stream.bench.mixes import REPEATS, Mix, Senders
from stream.events.wire.submissions import NewSubmission, submission_output
from tests.unit.stream.builders import OTHER_IMAGE, record
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.pipeline.abuse_cases import code_of

PICTURES = 4


def shown(mix: Mix, count: int = 3000, *, people: bool = False) -> Counter[tuple[str, int]]:
    """How often each tenant was shown each picture."""
    senders = Senders(mix, PICTURES, seed=1, people=people)
    sent = [senders.next() for _ in range(count)]
    return Counter((fields["tenant"], number) for number, fields in sent)


def test_strangers_meet_nobody():
    assert set(shown(Mix.STRANGERS).values()) == {1}


def test_three_in_a_hundred_come_again():
    times = shown(Mix.ORDINARY)
    assert 1 - len(times) / times.total() == pytest.approx(REPEATS, abs=0.01)


def test_hot_is_one_face():
    assert set(shown(Mix.HOT)) == {("hot", number) for number in range(PICTURES)}


def test_tenant_of_strangers_meets_all_people_once():
    times = shown(Mix.STRANGERS, people=True)
    assert set(times.values()) == {1}
    assert set(Counter(tenant for tenant, _ in times).values()) == {PICTURES}


def test_hot_is_one_of_the_people():
    assert set(shown(Mix.HOT, people=True)) == {("hot", 0)}


def test_nobody_shares_a_device_or_an_address():
    senders = Senders(Mix.HOT, PICTURES, seed=1)
    sent = [fields for _, fields in (senders.next() for _ in range(500))]
    for name in ("device_id", "client_ip", "session_id"):
        assert len({fields[name] for fields in sent}) == 500


@pytest.mark.parametrize("mix", Mix)
async def test_worker_takes_what_is_sent(mix):
    _, optional = Senders(mix, PICTURES, seed=1).next()
    output = submission_output(NewSubmission(image=OTHER_IMAGE, optional=optional), "submissions")
    assert code_of(await Pipeline().decision(record(output.value, output.headers, output.key))) is None
