"""`liveness abuse rekey`: protected templates turned to the hash key in force."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from abuse.store_time import RedisTime
from config import settings as configuration
from config.environment import HASH_KEYS_VARIABLE
from config.errors import SettingsError, Unavailable
from config.settings import Settings
from stream.bootstrap.abuse import agree_on_secrets, face_keys, open_face_index, open_key_checks
from stream.cli.abuse.options import TENANT_EXPECTED, checked
from stream.cli.console import JsonOption, out, print_json, say
from stream.events.message.ids import TENANT
from stream.maintenance.one_content import OneContent
from stream.maintenance.rekeying import Rekeyed, Rekeying, longest_search_s
from stream.redis.client import connect
from stream.redis.marker import marker_keys
from stream.runtime.patience import DependencyTimeout, RetryPolicy

OnlyOption = Annotated[
    str | None, typer.Option("--tenant", help="Only faces of this one.", callback=checked(TENANT, TENANT_EXPECTED))
]


def command(tenant: OnlyOption = None, json: JsonOption = False) -> None:
    """Turn every face template kept to the newest hash key in force, of all tenants unless one is named.

    For removing an older key early. Safe to repeat, and beside running workers, whose searches it lets end before a
    face leaves its old place: some seconds. Pictures can't be moved.
    """
    settings = configuration.load()
    now_ms, done = asyncio.run(_rekey(settings, tenant))
    for words in _not_yet(settings, now_ms):
        say(f"key {done.key} is in force; {words}")
    if json:
        print_json(asdict(done))
        return
    out.print(
        f"{done.moved} faces moved to key {done.key}, {done.current} met under it, {done.lost} are under no key held"
        f" ({done.tenants} tenants)"
    )
    if done.lost:
        out.print(
            f"Nobody finds these {done.lost}: add their key to {HASH_KEYS_VARIABLE} again, with its secret and the"
            " since it had, and run it again; or leave them, and they expire within days"
        )
    if done.waiting:
        out.print(f"{done.waiting} of a correlation id erased minutes ago wait: run it again in ten minutes")


def _not_yet(settings: Settings, now_ms: int) -> list[str]:
    """Words for each hash key not yet in force: without them an early run looks like a finished re-keying."""
    later = [(key.since, key.id) for key in settings.abuse.hash_keys if key.since is not None]
    return [
        f"{name} is not before {since.isoformat()}: nothing is moved to it until then"
        for since, name in sorted(later)
        if since.timestamp() * 1000 > now_ms
    ]


async def _rekey(settings: Settings, tenant: str | None) -> tuple[int, Rekeyed]:
    """The store's time by which keys are in force, and what was done."""
    policy = settings.policy()
    keys = face_keys(settings, policy)
    if keys is None:
        raise SettingsError(f"{HASH_KEYS_VARIABLE}: without hash keys there are no faces to move")
    markers = marker_keys(settings.redis_prefix, cluster=settings.redis.cluster)
    calls, patience = connect(settings.redis), RetryPolicy()
    try:
        checks = open_key_checks(settings, calls)
        await patience.until_available(agree_on_secrets, settings, checks)
        moving = Rekeying(
            index=open_face_index(settings, policy, calls),
            keys=keys,
            patience=patience,
            overlap_s=longest_search_s(settings.abuse.face_search_s, settings.redis.call_timeout_s),
            content=OneContent(calls, markers).told,
        )
        now_ms = await patience.until_available(RedisTime(calls).now_ms)
        return now_ms, await moving.run(now_ms, None if tenant is None else [tenant])
    except Unavailable as error:
        raise DependencyTimeout(f"{error}: if no rebuild has been, liveness abuse rebuild; then run it again") from None
    finally:
        await calls.close()
