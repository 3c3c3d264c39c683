"""Reuse of a face or picture under ever new ids: told as it doubles, shown in each decision, bounded in cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abuse.links.large_clusters import LARGE_SIZE
from abuse.subjects import correlation
from config.policy import Policy
from tests.unit.stream.builders import analysis
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.json_schema import DECISION_SCHEMA, FLAG_SCHEMA, violations
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import abuse_of, code_of, event_of, of_kind, sent
from tests.unit.stream.pipeline.decision.test_reuse_stage import decided_on, flagged, guid, submit, views
from tests.unit.stream.review.command_cases import Reviewer
from tests.unit.stream.review.command_cases import sent as command

#: Sizes at which a face under three ids or more is told beyond the first three levels: by the first newcomer, and when
#: the limit has doubled again.
TOLD = [LARGE_SIZE + 1, 48, 96]


def enforcing() -> Pipeline:
    return Pipeline(policy=Policy.model_validate({"abuse": {"face_reuse": {"enforced": True}}}))


async def grown(pipeline: Pipeline, beyond: int = 0) -> None:
    """A large cluster of one face, and so many newcomers."""
    await views(pipeline, LARGE_SIZE + beyond)


async def newcomer(pipeline: Pipeline, number: int, **changes):
    return await submit(pipeline, number, number, face(1, 0.3), **changes)


async def test_growth_is_told_once_a_doubling(pipeline):
    await views(pipeline, 100)
    events = of_kind(pipeline.flags, "face_reuse")
    of_lead = [event for event in events if event["subject"]["key"] == guid(0)]
    assert [event["evidence"]["used"] for event in of_lead if event["level"] > 3] == TOLD
    assert [event["level"] for event in of_lead] == [1, 2, 3, 4, 5, 6], "one flag, which rises"
    assert len({event["flag_id"] for event in of_lead}) == 1
    assert {event["subject"]["key"] for event in events} == {guid(number) for number in range(LARGE_SIZE)}
    assert [violations(event, FLAG_SCHEMA) for event in events] == [[]] * len(events)


async def test_newcomers_decision_shows_the_leads_flag(pipeline):
    await grown(pipeline, beyond=1)
    lead = flagged(pipeline)[guid(0)]
    pipeline.flags.clear()
    output = await newcomer(pipeline, 50)
    shown = abuse_of(output)
    assert [(flag["flag_id"], flag["subject"]) for flag in shown["flags"]] == [(lead, None)]
    assert shown["links"] == [], "nothing would lead an erasure of the member to the decision"
    assert shown["other_flagged_sessions"], "the session of the member that led there"
    assert violations(event_of(output), DECISION_SCHEMA) == []
    assert pipeline.flags == []


async def test_enforced_rule_refuses_newcomers():
    pipeline = enforcing()
    await grown(pipeline)
    output = await newcomer(pipeline, 50)
    assert (code_of(output), abuse_of(output)["is_abuse_detected"]) == ("SUBJECT_BLOCKED", True)


async def test_picture_under_many_ids(pipeline):
    for number in range(36):
        output = await submit(pipeline, number, number, None, picture(1))
    of_lead = [each for each in of_kind(pipeline.flags, "media_replay") if each["subject"]["key"] == guid(0)]
    assert [each["evidence"]["used"] for each in of_lead] == [2, 4, 8, LARGE_SIZE + 1, 32]
    assert [flag["kind"] for flag in abuse_of(output)["flags"]] == ["media_replay"]


async def test_members_are_not_read_for_newcomers():
    """The hard bound: calls and subjects read do not depend on how many members there are."""
    costs = []
    for beyond in (1, 20):
        pipeline, read = Pipeline(), []
        await grown(pipeline, beyond)
        of, histories = pipeline.reuse.links.of, pipeline.ledger.read_heads

        async def counted_of(tenant, ids, of=of, read=read):
            read.extend(ids)
            return await of(tenant, ids)

        async def counted_histories(tenant, subjects, cause=None, histories=histories, read=read):
            read.extend(subjects)
            return await histories(tenant, subjects, cause)

        pipeline.reuse.links.of, pipeline.ledger.read_heads = counted_of, counted_histories
        pipeline.reuse.ledger = pipeline.ledger
        await newcomer(pipeline, 200)
        costs.append(len(read))
    assert costs[0] == costs[1] <= 2 + 8 + 2, "the own links and flags, the nearest, the lead and the own flags again"


async def test_repeat_publishes_again_what_was_stored():
    """A submission that became a member among the first and is sent again once the cluster is large: its flag events
    may not have been published."""
    pipeline = Pipeline()
    await views(pipeline, 6)
    events = {event["flag_id"] for event in of_kind(pipeline.flags, "face_reuse") if event["cause"] == "sub-5"}
    assert len(events) == 6, "twice the limit: a level more for each"
    for number in range(6, LARGE_SIZE + 5):
        await submit(pipeline, number, number, face(1, 0.01 * number))
    pipeline.flags.clear()
    pipeline.store._kept.clear()
    await submit(pipeline, 5, 5, face(1, 0.05))
    assert events <= {event["flag_id"] for event in of_kind(pipeline.flags, "face_reuse")}


async def test_overriding_forgives_members_without_a_flag(pipeline):
    await grown(pipeline, beyond=20)
    lead = flagged(pipeline)[guid(0)]
    await decided_on(pipeline, "flag.override", 60, flag_id=lead, command_id="c-1")
    pipeline.flags.clear()
    for number in (100, 101):
        output = await newcomer(pipeline, number)
        assert abuse_of(output)["flags"] == []
    assert not flagged(pipeline)
    await newcomer(pipeline, 102)
    assert set(flagged(pipeline)) == {guid(number) for number in (100, 101, 102)}, "three since the reviewer's word"


async def test_reset_of_the_lead_forgives_nobody_else(pipeline):
    await grown(pipeline)
    given = command("correlation.reset", correlation_id=guid(0))
    await Reviewer(ledger=pipeline.ledger, links=pipeline.reuse.links).obey(
        replace(given, appended_at_ms=sent(60, 60).appended_at_ms)
    )
    pipeline.flags.clear()
    output = await newcomer(pipeline, 100)
    assert guid(100) in flagged(pipeline), "the others are read again, without the lead"
    shared = [flag["flag_id"] for flag in abuse_of(await newcomer(pipeline, 101))["flags"]]
    assert shared == [flagged(pipeline)[guid(1)]], "who leads from now on"
    assert abuse_of(output)["links"]


async def test_erased_lead_is_named_no_more(pipeline):
    await grown(pipeline)
    for store in (pipeline.faces, pipeline.reuse.large):
        await store.forget(None, guid(0))
    await pipeline.reuse.links.forget(None, guid(0), [guid(number) for number in range(1, LARGE_SIZE)])
    await newcomer(pipeline, 100)
    assert guid(0) not in str(pipeline.reuse.large.hints)


async def test_attacks_lead_themselves(pipeline):
    for number in range(LARGE_SIZE + 5):
        pipeline.analyser.found = analysis(0.1, template=face(1, 0.01 * number))
        output = await pipeline.decision(sent(number, number, correlation_id=guid(100 + number)))
    assert abuse_of(output)["flags"]
    known = await pipeline.ledger.read_history(None, [correlation(guid(100))])
    assert max(flag.level for flag in known.flags if flag.kind == "face_reuse") > 3


@pytest.mark.parametrize("owner_comes", [0, LARGE_SIZE + 10])
async def test_owner_of_a_stolen_photograph_leads_nothing(owner_comes):
    """Whether she came before the attacks or comes after."""
    pipeline = enforcing()
    for number in range(LARGE_SIZE + 20):
        if number == owner_comes:
            await submit(pipeline, 500, 1, face(1))
        pipeline.analyser.found = analysis(0.1, template=face(1, 0.01 * number))
        await pipeline.decision(sent(number, 600 + number, correlation_id=guid(100 + number)))
    output = await submit(pipeline, 700, 1, face(1, 0.1))
    assert (code_of(output), abuse_of(output)["flags"], guid(1) in flagged(pipeline)) == (None, [], False)


async def test_newcomers_are_refused_long_after_the_last_doubling():
    pipeline = enforcing()
    await grown(pipeline, beyond=1)
    pipeline.analyser.found = analysis(template=face(1, 0.3))
    output = await pipeline.decision(sent(50, 6 * 86_400, correlation_id=guid(50)))
    assert code_of(output) == "SUBJECT_BLOCKED"
    (flag,) = abuse_of(output)["flags"]
    assert flag["refuses_until"] is not None


async def test_confirming_the_lead_enforces_nothing_on_newcomers(pipeline):
    """The rule is a shadow: a reviewer's word is about the lead."""
    await grown(pipeline, beyond=1)
    await decided_on(pipeline, "flag.confirm", 60, flag_id=flagged(pipeline)[guid(0)], command_id="c-1")
    output = await newcomer(pipeline, 100)
    assert (code_of(output), abuse_of(output)["is_abuse_detected"]) == (None, False)
    assert [flag["state"] for flag in abuse_of(output)["flags"]] == ["confirmed"]


async def test_cluster_after_a_forgiven_one_is_forgiven_too(pipeline):
    await grown(pipeline, beyond=10)
    await decided_on(pipeline, "flag.override", 60, flag_id=flagged(pipeline)[guid(0)], command_id="c-1")
    pipeline.flags.clear()
    for number in range(100, 100 + LARGE_SIZE + 10):
        await submit(pipeline, number, number, face(1, 0.01 * (number - 100)))
    second = flagged(pipeline)[guid(100)]
    await decided_on(pipeline, "flag.override", 200, flag_id=second, command_id="c-2")
    pipeline.flags.clear()
    for number in (300, 301):
        assert abuse_of(await newcomer(pipeline, number))["flags"] == []
    assert not flagged(pipeline)


async def test_redelivery_makes_no_second_cluster(pipeline):
    await grown(pipeline, beyond=30)
    leads = dict(pipeline.reuse.large.leads)
    for number in (3, 10):
        pipeline.store._kept.clear()
        await submit(pipeline, number, number, face(1, 0.01 * number))
    assert pipeline.reuse.large.leads == leads


async def test_members_keep_their_own_links(pipeline):
    """Newcomers leave no trace under the member by which they join."""
    await grown(pipeline)
    before = {name: dict(lines) for name, lines in pipeline.reuse.links.lines.items()}
    for number in range(100, 140):
        await newcomer(pipeline, number)
    assert pipeline.reuse.links.lines == before
