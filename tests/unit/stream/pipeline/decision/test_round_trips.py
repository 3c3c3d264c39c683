"""Round trips of a submission whose face and picture are compared, one after the other, on a single server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from abuse.links.large_clusters import LARGE_SIZE
from stream.redis.client import SingleServerClient
from stream.redis.session_store import RedisSessionStore
from stream.sessions.gate import SessionTokenGate
from stream.sessions.ledger import SessionBook
from tests.instants import NOW_MS
from tests.unit.stream.builders import OTHER_IMAGE, analysis, base64_of
from tests.unit.stream.fakes import Pipeline
from tests.unit.stream.likenesses import face, picture
from tests.unit.stream.pipeline.abuse_cases import sent
from tests.unit.stream.pipeline.decision.test_reuse_stage import guid
from tests.unit.stream.pipeline.trip_cases import PREFIX, WatchedNode, pipeline_over
from tests.unit.stream.sessions.builders import session_record, token_of, tokens

#: Admission; observation with enrolment and search; storing.
STRANGER = 3
#: The candidates; hints, the lead and histories; the number of members.
NEWCOMER = STRANGER + 3
#: The candidates; their hints and histories; their links.
MEMBER = STRANGER + 3


async def shown(node: WatchedNode, pipeline: Pipeline, number: int, person: int, **changes: Any) -> int:
    """Round trips of a new correlation id that shows this person's face and picture. At the present time, since older
    faces are kept no longer."""
    pipeline.analyser.found = analysis(template=face(person, 0.001 * number), picture=picture(person))
    fields = {"correlation_id": guid(number), "session_id": f"s-{number}", **changes}
    given = sent(number, image=base64_of(OTHER_IMAGE + bytes([person])), **fields)
    before = len(node.exchanges)
    await pipeline.decision(replace(given, appended_at_ms=NOW_MS + number))
    return len(node.exchanges) - before


async def test_round_trips(node):
    pipeline = pipeline_over(node)
    await shown(node, pipeline, 0, 0)  # the first learns which keys and switches there are
    strangers = [await shown(node, pipeline, number, number) for number in (1, 2, 3)]
    assert min(strangers) == STRANGER
    assert max(strangers) <= STRANGER + 1, "the exact templates of strangers who may be near"
    *small, last = [await shown(node, pipeline, 10 + number, 1) for number in range(LARGE_SIZE - 1)]
    assert small == [MEMBER] * (LARGE_SIZE - 2)
    assert last == MEMBER + 1, "it makes the cluster large"
    await shown(node, pipeline, 100, 1)
    newcomers = [await shown(node, pipeline, 101 + number, 1) for number in range(4)]
    assert newcomers == [NEWCOMER] * 4


async def test_session_costs_four_more(node):
    """A look at the session, the attempt, its outcome, and the session's end."""
    pipeline = pipeline_over(node)
    store = RedisSessionStore(SingleServerClient(node, 10, 8), PREFIX, 3600)
    gate = SessionTokenGate(store=store, tokens=tokens())
    admission = replace(pipeline.detect_stage.admission, sessions=gate)
    pipeline.detect_stage = replace(pipeline.detect_stage, admission=admission, sessions=True)
    pipeline.decide_stage = replace(pipeline.decide_stage, sessions=SessionBook(store=store))
    await shown(node, pipeline, 0, 0)
    taken = []
    for number in (1, 2, 3):
        at = {"created_s": NOW_MS // 1000, "expires_s": NOW_MS // 1000 + 600}
        record = session_record(number, correlation_id=guid(number), **at)
        await store.create(record)
        taken.append(await shown(node, pipeline, number, number, session_token=token_of(record), session_id=...))
    assert min(taken) == STRANGER + 4
    assert [orjson.loads(change.value or b"")["state"] for change in pipeline.changes] == ["running", "succeeded"] * 3


async def test_keys_on_several_nodes_are_searched_after_enrolment(node):
    """On a cluster the parts of one round trip come in no order: one more."""
    pipeline = pipeline_over(node, in_order=False)
    await shown(node, pipeline, 0, 0)
    assert min([await shown(node, pipeline, number, number) for number in (1, 2, 3)]) == STRANGER + 1
