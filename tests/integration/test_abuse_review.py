"""Review as people do it: the command line and the commands topic, with workers that race and workers that die."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from typing import Any

import orjson
import pytest

from abuse.review import audit
from stream.events.message.messages import Output
from stream.events.topics import Topic
from stream.kafka.clients.clients import producer, send
from tests.e2e.abuse_cases import (
    LIVE,
    AbuseTable,
    answers,
    command,
    decided,
    error_code,
    failures,
    flag_contents,
    flagged,
    order,
    picture,
    what_happens_to,
)
from tests.e2e.cli import Ran, liveness, quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.waiting import eventually
from tests.e2e.workers import SCRIPTED

pytestmark = [pytest.mark.real, pytest.mark.slow]

SEED = 20261121
WHO = ("--actor", "ada", "--reason", "manual_check")


def guids(number: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(number)]


async def refused(installation: Installation, *arguments: str) -> str:
    """A decision that must be refused: the code of the answer."""
    ran = await quick_liveness(installation, "abuse", *arguments, "--json", expect=1)
    assert ran.document["outcome"] == "refused"
    return str(ran.document["error"]["code"])


async def applied(installation: Installation, *arguments: str) -> dict[str, Any]:
    ran = await quick_liveness(installation, "abuse", *arguments, "--json")
    assert ran.document["outcome"] == "applied"
    return ran.document


async def test_looking(install: MakeInstallation) -> None:
    """list, show and watch, for people and as JSON; wrong use says so, and so does a command nobody answers."""
    installation = await install()
    await installation.workers.start(SCRIPTED, "--roles", "detect,decide").ready()
    nowhere = installation.restarted(redis__url="redis://127.0.0.1:9/0")
    unreachable = asyncio.create_task(liveness(nowhere, "abuse", "list", "--json", expect=3))
    theirs, *ours = guids(3)
    flags = await flagged(installation, *ours) | await flagged(installation, theirs, tenant="acme")

    listed, one_tenant, people, shown, history, words, events, live = await asyncio.gather(
        liveness(installation, "abuse", "list", "--json"),
        liveness(installation, "abuse", "list", "--tenant", "acme", "--json"),
        liveness(installation, "abuse", "list"),
        liveness(installation, "abuse", "show", flags[ours[0]]["flag_id"], "--json"),
        liveness(installation, "abuse", "show", ours[0].upper(), "--json"),
        liveness(installation, "abuse", "show", ours[0]),
        liveness(installation, "abuse", "watch", "--from-start", "--no-follow", "--json"),
        liveness(installation, "abuse", "watch", "--from-start", "--no-follow"),
    )
    wanted = {flags[name]["flag_id"] for name in ours}
    assert wanted <= {line["flag_id"] for line in listed.lines}
    assert {line["tenant"] for line in one_tenant.lines} == {"acme"}
    assert len(people.out.splitlines()) == len(listed.lines), "one flag a line"
    assert shown.document == {"flag": flags[ours[0]], "events": [flags[ours[0]]]}
    assert set(history.document) == {"subject", "flags", "attempts", "cluster", "cleared_at"}
    assert history.document["subject"] == {"type": "correlation_id", "key": ours[0]}
    assert len(history.document["attempts"]) == len(failures(ours[0]))
    assert {each["submission_id"] for each in history.document["attempts"]} == {
        each["submission"] for each in flags[ours[0]]["evidence"]["linked"]
    }
    assert b"paused until" in words.out
    assert wanted <= {line["flag_id"] for line in events.lines}
    assert len(live.out.splitlines()) == len(events.lines)
    await asyncio.gather(
        quick_liveness(installation, "abuse", "show", "fl_" + "0" * 24, expect=1),
        quick_liveness(installation, "abuse", "show", str(uuid.uuid4()), expect=1),
        quick_liveness(installation, "abuse", "show", theirs, "--tenant", "other", expect=1),
        quick_liveness(installation, "abuse", "show", "nonsense", expect=2),
        quick_liveness(installation, "abuse", "confirm", "nonsense", *WHO, expect=2),
        quick_liveness(installation, "abuse", "reset", "nonsense", *WHO, expect=2),
        quick_liveness(installation, "abuse", "switch", "no_such_rule", "--active", *WHO, expect=2),
        quick_liveness(installation, "abuse", "switch", "attack_severity", *WHO, expect=2),
        quick_liveness(installation, "abuse", "confirm", ours[0], expect=2),
    )
    no_keys = await quick_liveness(installation, "abuse", "show", "address:203.0.113.7", expect=2)
    assert "LIVENESS_ABUSE__HASH_KEYS" in no_keys.err
    assert "203.0.113.7" not in no_keys.err
    assert "redis" in (await unreachable).err
    await answered_later(installation, ours[0])


async def answered_later(installation: Installation, name: str) -> None:
    """No worker carries out commands; the next one that does finds it."""
    reset = ("abuse", "reset", name, *WHO, "--command-id", f"later-{name}")
    silent = await quick_liveness(installation, *reset, "--timeout", "1", expect=1)
    assert f"--command-id later-{name}" in silent.err
    assert silent.out == b""
    await installation.workers.start(SCRIPTED, "--roles", "command").ready()
    (answer,) = (await answers(installation, [f"later-{name}"]))[f"later-{name}"]
    assert orjson.loads(answer)["outcome"] == "applied"


async def test_deciding(install: MakeInstallation) -> None:
    """Each decision has its effect at once in both workers, is answered, and stays in the audit trail."""
    installation = await install()
    await installation.workers.run(2)
    sure, wrong, again, shadow, theirs = guids(5)
    flags = await flagged(installation, sure, wrong, again, shadow)
    flags |= await flagged(installation, theirs, tenant="acme")

    await one_confirms(installation, sure, flags[sure]["flag_id"])
    await one_overrides(installation, wrong, flags[wrong]["flag_id"])
    await one_resets(installation, again)
    await one_switches(installation, shadow, theirs)
    await the_same_again(installation, flags[shadow]["flag_id"])
    assert await refused(installation, "confirm", flags[theirs]["flag_id"], *WHO) == "UNKNOWN_FLAG"
    assert await refused(installation, "confirm", theirs, *WHO) == "NO_OPEN_FLAG"
    assert (await applied(installation, "confirm", theirs, "--tenant", "acme", *WHO))["tenant"] == "acme"
    assert await refused(installation, "confirm", "fl_" + "0" * 24, *WHO) == "UNKNOWN_FLAG"
    await quick_liveness(installation, "abuse", "confirm", sure, "--actor", "ada", "--reason", "Not a code", expect=2)
    await the_trail_is_whole(installation)


async def one_confirms(installation: Installation, name: str, flag_id: str) -> None:
    answer = await applied(installation, "confirm", flag_id, *WHO, "--note", "seen it")
    (changed,) = answer["changed"]["flags"]
    assert (changed["flag_id"], changed["from"], changed["to"]) == (flag_id, "raised", "confirmed")
    assert (answer["actor"], answer["reason"], answer["note"]) == ("ada", "manual_check", "seen it")
    assert await what_happens_to(installation, name) == "SUBJECT_BLOCKED"
    assert await refused(installation, "confirm", flag_id, *WHO) == "ALREADY_CONFIRMED"


async def one_overrides(installation: Installation, name: str, flag_id: str) -> None:
    assert await what_happens_to(installation, name) == "SUBJECT_PAUSED"
    answer = await applied(installation, "override", name, *WHO)
    assert answer["changed"]["correlation_id"] == name
    assert uuid.UUID(answer["changed"]["new_correlation_id"])
    assert await what_happens_to(installation, name) is None
    assert await refused(installation, "override", name, *WHO) == "NO_OPEN_FLAG"
    assert await refused(installation, "override", flag_id, *WHO) == "ALREADY_OVERRIDDEN"


async def one_resets(installation: Installation, name: str) -> None:
    answer = await applied(installation, "reset", name, *WHO)
    new = answer["changed"]["new_correlation_id"]
    assert new != name
    assert {flag["to"] for flag in answer["changed"]["flags"]} == {"overridden"}
    assert await what_happens_to(installation, name) is None
    assert await what_happens_to(installation, new) is None


async def one_switches(installation: Installation, name: str, theirs: str) -> None:
    """For one tenant alone, and back again."""
    off = await applied(installation, "switch", "excessive_retries", "--no-enforced", *WHO)
    assert off["changed"] == {"before": {}, "after": {"excessive_retries": {"enforced": False}}}
    assert await what_happens_to(installation, name) is None
    assert await what_happens_to(installation, theirs, tenant="acme") == "SUBJECT_PAUSED"
    assert await refused(installation, "switch", "excessive_retries", "--no-enforced", *WHO) == "NOTHING_TO_CHANGE"
    await applied(installation, "switch", "excessive_retries", "--enforced", *WHO)
    assert await what_happens_to(installation, name) == "SUBJECT_PAUSED"


async def the_same_again(installation: Installation, flag_id: str) -> None:
    """A repeated command id: the same bytes, and nothing happens twice."""
    asked = ("abuse", "confirm", flag_id, *WHO, "--command-id", f"again-{flag_id}", "--json")
    first = await liveness(installation, *asked)
    second = await quick_liveness(installation, *asked)
    assert first.out == second.out
    events = [name for name in await flag_contents(installation) if name.startswith(f"{flag_id}-confirmed")]
    assert len(events) == 1
    assert len((await flag_contents(installation))[events[0]]) == 1, "the second did not publish it again"


async def the_trail_is_whole(installation: Installation) -> None:
    """`audit` says so; and says where, once somebody has changed an entry."""
    ran = await liveness(installation, "abuse", "audit", "--json")
    assert "0 problem(s)" in ran.err
    assert {entry["actor"] for entry in ran.lines} == {"ada"}
    assert len((await quick_liveness(installation, "abuse", "audit")).out.splitlines()) == len(ran.lines)
    forged = {**ran.lines[0], "actor": "mallory"}
    async with producer(installation.settings.kafka) as client:
        topic = installation.topic(Topic.AUDIT)
        await send(client, Output(topic=topic, key=b"", value=orjson.dumps(forged), headers=()))
    found: Ran = await quick_liveness(installation, "abuse", "audit", "--json", expect=1)
    assert "was changed" in found.err


async def test_many_commands_at_once(install: MakeInstallation) -> None:
    """A hundred over all partitions and two workers: one chain, nothing missing. What is no command is set aside, what
    is a wrong one is answered."""
    installation = await install()
    await installation.workers.run(2)
    many = [command("correlation.reset", correlation_id=name) for name in guids(100)]
    await asyncio.gather(*(order(installation, many[start::8]) for start in range(8)))
    found = await answers(installation, [each["command_id"] for each in many])
    assert {name: len(values) for name, values in found.items() if len(values) != 1} == {}
    chain = audit.check(orjson.loads(value) for values in found.values() for value in values)
    assert (chain.entries, chain.chains, chain.problems) == (100, 1, ())

    unreadable = [b"", b"no JSON", b"[]", b'{"command":"flag.confirm"}', b"\xff" * 100, b'{"command_id":7}']
    invalid = [
        command("flag.confirm"),
        command("flag.confirm", flag_id="fl_" + "0" * 24, subject={"type": "device", "key": "k1-" + "0" * 32}),
        command("flag.confirm", flag_id="fl_" + "0" * 24, secret_field=1),
        command("correlation.reset", correlation_id="nobody"),
        command("settings.update", rules={"no_such_rule": {"active": True}}),
        command("settings.update", rules={"attack_severity": {}}),
        command("no.such.command"),
    ]
    await order(installation, [*unreadable, *invalid])
    found = await answers(installation, [each["command_id"] for each in invalid])
    codes = Counter(orjson.loads(found[each["command_id"]][0])["error"]["code"] for each in invalid)
    assert codes == {"INVALID_COMMAND": 6, "UNKNOWN_COMMAND": 1}
    letters: list[Any] = []

    async def all_set_aside() -> bool:
        letters[:] = await installation.records(Topic.DEAD_LETTER)
        return len(letters) >= len(unreadable)

    await eventually(all_set_aside, "what is no command is in the dead-letter topic")
    assert sorted(letter.value or b"" for letter in letters) == sorted(unreadable)
    assert {dict(letter.headers)["reason"] for letter in letters} == {b"BAD_COMMAND"}
    assert [worker.code for worker in installation.workers.started] == [None, None]


async def test_killed_amid_commands(install: MakeInstallation) -> None:
    """Workers die while commands are carried out: each is answered, with the same bytes however often, and has its
    effect once."""
    installation = await install()
    await installation.workers.run(2)
    names = guids(24)
    await flagged(installation, *names)
    commands = [about for name in names for about in decisions_on(name)]
    for name in names:
        await order(installation, [each for each in commands if about_id(each) == name], key=name)
    await killing(installation, len(commands))
    found = await answers(installation, [each["command_id"] for each in commands])
    assert {name: values for name, values in found.items() if len(set(values)) != 1} == {}, "one answer a command"
    chain = audit.check(orjson.loads(value) for values in found.values() for value in values)
    assert (chain.entries, chain.chains, chain.problems) == (len(commands), 1, ())
    outcomes = Counter(orjson.loads(values[0])["outcome"] for values in found.values())
    assert outcomes == {"applied": len(commands)}

    async def settled() -> bool:
        return set(await AbuseTable(installation).flag_events()) <= set(await flag_contents(installation))

    await eventually(settled, "every flag event of the table is published")
    contents = await flag_contents(installation)
    assert {name: values for name, values in contents.items() if len(set(values)) != 1} == {}
    assert {name: values[0] for name, values in contents.items()} == await AbuseTable(installation).flag_events()
    overridden = [name for name in contents if "-overridden-" in name]
    assert len({name.partition("-")[0] for name in overridden}) == len(overridden), "each flag is overridden once"
    for decision in await decided(installation, [picture(name, LIVE) for name in names]):
        assert error_code(decision) is None


def decisions_on(name: str) -> list[dict[str, Any]]:
    """A reviewer is sure, thinks again, and begins the id anew; in this order."""
    subject = {"type": "correlation_id", "key": name}
    return [
        command("flag.confirm", subject=subject),
        command("flag.override", subject=subject),
        command("correlation.reset", correlation_id=name),
    ]


def about_id(sent: dict[str, Any]) -> str:
    return str(sent.get("correlation_id") or sent["subject"]["key"])


async def killing(installation: Installation, commands: int, kills: int = 3) -> None:
    """SIGKILL a worker at random points of the work; another takes its place."""
    chance = random.Random(SEED)
    for number in range(kills):
        goal = commands * number // kills + chance.randint(1, commands // kills // 2)

        async def enough(goal: int = goal) -> bool:
            return len(await installation.records(Topic.AUDIT)) >= goal

        await eventually(enough, f"{goal} answers", 90)
        await installation.workers.replace_one(chance, SCRIPTED)
