"""Erasing on real services: a person with everything that can be kept of one, and nothing names them afterwards."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from redis.asyncio import Redis

from stream.events.wire.submissions import NewSubmission
from tests.e2e.abuse_cases import ANSWER_S, HASH_KEYS, answers, decided, value_of
from tests.e2e.analysers import marked
from tests.e2e.cli import quick_liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.installation import Installation
from tests.e2e.pictures import plain_picture
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]

WHO = ("--actor", "ada", "--reason", "request")
FACE = 7


def attacks(correlation_id: str, number: int = 5) -> list[NewSubmission]:
    optional = {"device_id": "phone-1", "client_ip": "203.0.113.7", "session_id": f"visit-{correlation_id[:8]}"}
    image = marked(plain_picture(), "face", FACE)
    return [NewSubmission(image=image, correlation_id=correlation_id, optional=optional) for _ in range(number)]


async def everything(installation: Installation) -> dict[str, Any]:
    settings = installation.settings
    async with Redis.from_url(settings.redis.url.get_secret_value(), protocol=2) as redis:
        keys = [key async for key in redis.scan_iter(match=f"{settings.redis_prefix}*", count=1000)]
        return {key.decode(): await value_of(redis, key) for key in keys}


async def naming(installation: Installation, name: str) -> set[str]:
    """Families of keys that name it or hold it."""
    prefix = installation.settings.redis_prefix
    held = await everything(installation)
    return {key.removeprefix(prefix).partition(":{")[0] for key, value in held.items() if name in f"{key} {value!r}"}


async def erased(installation: Installation, *arguments: str) -> dict[str, Any]:
    ran = await quick_liveness(installation, "abuse", "erase", *arguments, *WHO, "--json")
    assert ran.document["outcome"] == "applied"
    changed: dict[str, Any] = ran.document["changed"]
    return changed


async def test_erased_person_is_nowhere(install: MakeInstallation) -> None:
    installation = await install(abuse__hash_keys=HASH_KEYS)
    await installation.workers.run(2)
    me, other = (str(uuid.uuid4()) for _ in range(2))
    await decided(installation, attacks(other))
    await decided(installation, attacks(me))

    async def flagged() -> bool:
        return "abuse:flags" in await naming(installation, me)

    await eventually(flagged, "it is flagged", ANSWER_S)
    before = await naming(installation, me)
    assert before >= {
        *("decision", "decisions-of", "abuse:journal", "abuse:used", "abuse:flags", "abuse:flag", "abuse:links"),
        *("abuse:faces", "abuse:faces-of", "abuse:picture", "abuse:pictures-of"),
    }
    receipt = await erased(installation, me, "--command-id", f"erase-{me[:8]}")
    assert await naming(installation, me) == set()
    counts = receipt["erased"]
    assert (counts["faces"], counts["pictures"], counts["decisions"]) == (5, 5, 5)
    assert counts["journal_lines"] == 20
    assert min(counts["flags"], counts["links"]) >= 1
    assert me not in str(receipt)
    assert await naming(installation, other) >= before - {"abuse:named", "abuse:links"}, "nobody else is erased"

    again = await erased(installation, me)
    assert set(again["erased"].values()) == {0}
    assert await erased(installation, me, "--command-id", f"erase-{me[:8]}") == receipt
    (entry, repeated) = (await answers(installation, [f"erase-{me[:8]}"]))[f"erase-{me[:8]}"]
    assert entry == repeated
    assert me.encode() not in entry
    await quick_liveness(installation, "abuse", "audit")

    await quick_liveness(installation, "abuse", "rebuild")
    assert await naming(installation, me) == set(), "the topics still hold it, the receipt keeps it out"
    address = await erased(installation, "address:203.0.113.7")
    assert address["erased"]["journal_lines"] == 5
    await nothing_moves(installation)


async def nothing_moves(installation: Installation) -> None:
    """There is one key, and every face is under it."""
    ran = await quick_liveness(installation, "abuse", "rekey", "--json")
    assert ran.document == {"key": "k1", "tenants": 1, "moved": 0, "current": 5, "lost": 0, "waiting": 0}
