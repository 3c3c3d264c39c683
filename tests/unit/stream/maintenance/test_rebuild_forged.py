"""A rebuild believes what workers wrote: forged decisions, flags, entries and erasures leave no trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from abuse.keys.key_periods import HashKey
from config.settings import Settings
from stream.encryption.reviewer_keys import new_signing_key
from stream.events.authentication.group_macs import GroupMacs
from stream.events.authentication.record_mac import RecordMacs
from stream.events.message.messages import Output, Record
from stream.events.topics import Topic
from stream.maintenance.rebuild import Rebuild, Rebuilt
from stream.review.command_signatures import CommandSignatures, signed_headers
from stream.review.reviewers import reviewers_of
from stream.runtime.patience import RetryPolicy
from tests.unit.abuse.builders import seen
from tests.unit.stream.builders import APPENDED_AT_MS
from tests.unit.stream.maintenance.test_parts_restoring import restoring
from tests.unit.stream.maintenance.test_rebuild import (
    AUDIT,
    COMMANDS,
    DECISIONS,
    FLAGS,
    Installation,
    decision_of,
    eventful,
    installations,
    new,
    old,
    topics,
)
from tests.unit.stream.pipeline.join_cases import DEPTH, Fleet, frame, group_part, sent_by_group
from tests.unit.stream.pipeline.join_cases import sent as part_sent
from tests.unit.stream.review.command_cases import ME, OTHER, about, flag_events, sent

__all__ = ["eventful", "installations", "new", "old", "topics"]  # fixtures

KEY = HashKey(id="k1", secret=b"a" * 32)
DETECTIONS = "liveness.detections"
MACS = RecordMacs([KEY], {str(topic): topic for topic in Topic})


def written(topic: str, value: bytes, macs: RecordMacs = MACS) -> Record:
    output = macs.signed(Output(topic=topic, key=None, value=value, headers=()))
    place = {"topic": topic, "partition": 0, "offset": 0, "appended_at_ms": 0}
    return Record(**place, key=output.key, value=output.value, headers=output.headers)


async def rebuilt(installation: Installation, **by: Any) -> Rebuilt:
    reviewer = installation.reviewer
    stores = {"ledger": reviewer.ledger, "links": reviewer.links, "audit": reviewer.audit, "commands": reviewer.log}
    stores |= {"decisions": reviewer.decisions, "erasures": reviewer.erasures}
    return await Rebuild(settings=Settings(), patience=RetryPolicy(), **stores, **by).run()


async def test_forged_records(eventful: Installation, new: Installation, topics: dict[str, list[Any]]) -> None:
    """The table is as without the forgeries, which are counted once each."""
    for topic in (DECISIONS, FLAGS, AUDIT):
        topics[topic][:] = [written(topic, value) for value in topics[topic]]
    other = RecordMacs([replace(KEY, secret=b"b" * 32)], {str(topic): topic for topic in Topic})
    topics[DECISIONS].append(written(DECISIONS, decision_of(seen(900, 1300, who=9)), RecordMacs()))
    topics[DECISIONS].append(written(DECISIONS, decision_of(seen(901, 1301, who=9)), other))
    topics[FLAGS] += [written(FLAGS, event.document, RecordMacs()) for event in flag_events(tenant="forged")]
    topics[AUDIT] += [replace(topics[AUDIT][-1], headers=())]
    done = await rebuilt(new, macs=MACS)
    forged = 3 + len(flag_events())
    assert (done.unauthenticated, done.unreadable) == (forged, 0)
    assert new.dump_rebuildable() == eventful.dump_rebuildable()


async def test_forged_parts(new: Installation, topics: dict[str, list[Any]]) -> None:
    """Frames and a detector group's result that nobody here signed wait for nothing; a worker's frame does."""
    fleet = Fleet(DEPTH)
    group_macs = GroupMacs({"depth": [b"a secret of the group that is long"]})
    parts = restoring(fleet)
    parts = replace(parts, group_parts=replace(parts.group_parts, macs=group_macs))
    topics[DETECTIONS] = [part_sent(frame(0)), sent_by_group(group_part())]
    done = await rebuilt(new, macs=MACS, parts=parts)
    assert (done.unauthenticated, done.parts) == (1, 0)
    assert await fleet.pending.due(2**53, 10) == []
    signed = written(DETECTIONS, part_sent(frame(0)).value or b"")
    topics[DETECTIONS].append(replace(signed, appended_at_ms=APPENDED_AT_MS))
    assert (await rebuilt(new, macs=MACS, parts=parts)).parts == 1


async def test_forged_erasure(
    eventful: Installation, installations: Callable[[str], Installation], topics: dict[str, list[Any]]
) -> None:
    """An erasure that borrows the id of a command which was carried out: the signature tells whose it is."""
    ann = new_signing_key("ann-1")
    file = f'[roles]\nr = ["flag.confirm"]\n[keys.ann-1]\nactor = "ann"\nroles = ["r"]\npublic = "{ann.public}"\n'
    signatures = CommandSignatures(find=reviewers_of(file.encode()).get, required=True)
    before = eventful.dump_rebuildable()
    forged = sent("subject.erase", command_id="k-1", subject=about(OTHER), at_s=801)
    beyond_role = sent("subject.erase", command_id="k-4", subject=about(ME), at_s=1101)
    signed = signed_headers(beyond_role.topic, beyond_role.value or b"", ann, beyond_role.appended_at_ms)
    topics[COMMANDS] += [forged, replace(beyond_role, headers=signed)]
    await rebuilt(eventful, signatures=signatures)
    assert eventful.dump_rebuildable() == before
    await rebuilt(eventful)
    assert eventful.dump_rebuildable() != before, "the case is one: without signatures it is carried out"
