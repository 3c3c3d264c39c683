"""`liveness abuse rekey`: every face print to the hash key in force."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated

import typer

from config import settings as configuration
from config.settings import HASH_KEYS_VARIABLE, Settings, SettingsError
from stream.abuse_parts import agree_on_secrets, face_keys, open_face_index, open_key_checks
from stream.cli.abuse.options import TENANT_EXPECTED, checked
from stream.cli.console import JsonOption, out, print_json
from stream.messages import TENANT
from stream.patience import Patience
from stream.redis_calls import connect
from stream.rekeying import Rekeyed, Rekeying, longest_search_s

OnlyOption = Annotated[
    str | None, typer.Option("--tenant", help="Only faces of this one.", callback=checked(TENANT, TENANT_EXPECTED))
]


def command(tenant: OnlyOption = None, json: JsonOption = False) -> None:
    """Turn every face print kept to the newest hash key in force, of all tenants unless one is named.

    For removing an older key early. Safe to repeat, and beside running workers, whose searches it lets end before a
    face leaves its old place: some seconds. Pictures can't be moved.
    """
    done = asyncio.run(_rekey(configuration.load(), tenant))
    if json:
        print_json(asdict(done))
        return
    out.print(
        f"{done.moved} faces moved to key {done.key}, {done.current} met under it, {done.lost} are under no key held"
        f" ({done.tenants} tenants)"
    )
    if done.waiting:
        out.print(f"{done.waiting} of a correlation id erased minutes ago wait: run it again in ten minutes")


async def _rekey(settings: Settings, tenant: str | None) -> Rekeyed:
    policy = settings.policy()
    keys = face_keys(settings, policy)
    if keys is None:
        raise SettingsError(f"{HASH_KEYS_VARIABLE}: without hash keys there are no faces to move")
    calls, patience = connect(settings.redis), Patience()
    try:
        checks = open_key_checks(settings, calls)
        await patience.insist(lambda: agree_on_secrets(settings, checks))
        moving = Rekeying(
            index=open_face_index(settings, policy, calls),
            keys=keys,
            patience=patience,
            overlap_s=longest_search_s(settings.abuse.face_search_s, settings.redis.call_timeout_s),
        )
        return await moving.run(time.time_ns() // 1_000_000, None if tenant is None else [tenant])
    finally:
        await calls.close()
