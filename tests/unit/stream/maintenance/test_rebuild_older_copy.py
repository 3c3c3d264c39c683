"""A rebuild on an older copy of the table, a backup put back: as on an empty one, without what was erased since."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from abuse.review.audit import check
from tests.unit.abuse.builders import guid, seen
from tests.unit.stream.maintenance.test_rebuild import (
    COMMANDS,
    ERASURE,
    MINE,
    THEIRS,
    Installation,
    eventful,
    installations,
    names_me,
    new,
    old,
    others_are_whole,
    topics,
)
from tests.unit.stream.review.command_cases import ME, OTHER, about, sent

__all__ = ["eventful", "installations", "new", "old", "topics"]  # fixtures


def copied(source: Installation, target: Installation) -> None:
    client: redis.Redis = source.client
    for key in list(client.scan_iter(match=f"{source.prefix}*")):
        client.restore(key.decode().replace(source.prefix, target.prefix, 1), 0, client.dump(key), replace=True)


async def switch(installation: Installation, number: int, **on: bool) -> None:
    rules = {"device_velocity": {"enforced": on["enforced"]}, "attack_severity": {"active": on["active"]}}
    await installation.obey("settings.update", command_id=f"copy-{number}", rules=rules)


@pytest.mark.parametrize("copied_after", [0, 1])
async def test_older_copy_becomes_the_latest(eventful, new, copied_after):
    """Switches, reviews and the end of the audit chain; from then on one chain goes on."""
    for number in range(copied_after):
        await switch(eventful, number, enforced=True, active=True)
    copied(eventful, new)
    await switch(eventful, 5, enforced=False, active=True)
    await eventful.obey("correlation.reset", command_id="copy-6", correlation_id=guid(22), at_s=1300)
    await eventful.see(seen(300, 1301, who=22))
    await new.rebuild()
    assert new.dump_rebuildable() == eventful.dump_rebuildable()
    await new.obey("correlation.reset", command_id="copy-7", correlation_id=guid(7), at_s=1400)
    checked = check(new.entries)
    assert (checked.chains, checked.problems) == (1, ())


async def test_erased_since_the_copy(old, new):
    await old.see(*MINE, *THEIRS)
    copied(old, new)
    await old.obey(**ERASURE)
    await new.rebuild()
    assert not names_me(new)
    await others_are_whole(new)


async def test_erased_before_the_copy(old, new, monkeypatch):
    """Records of the subject in the copy are from after the erasure, and there by right. A command that no worker has
    begun yet is a worker's."""
    carried_out: list[Any] = []
    await old.see(*MINE)
    await old.obey(**ERASURE)
    await old.see(seen(77, 2000))
    copied(old, new)
    await switch(old, 1, enforced=True, active=True)
    old.topics[COMMANDS].append(sent("subject.erase", command_id="not-begun", subject=about(OTHER)))
    monkeypatch.setattr("abuse.review.erasure.Erasures.carry_out", lambda *given: carried_out.append(given))
    await new.rebuild()
    assert carried_out == []
    assert await new.reviewer.audit.head() == await old.reviewer.audit.head(), "taken for an older copy"
    assert [each.submission_id for each in (await new.ledger.history(None, ME)).attempts] == ["sub-77"]
