"""Session keys on a badge: as the folder has them now, told where workers differ, and no secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from abuse.store_time import StillTime
from config.policy import Policy
from config.settings import Settings
from stream.bootstrap.fleet import badge, open_fleet_watch
from stream.encryption.key_folder import SessionKeys
from stream.encryption.reviewer_keys import new_signing_key
from stream.kafka.worker.worker import Role
from stream.redis.roll_call import RedisRollCall
from stream.runtime.fleet import Aspect, Badge, conflict, differences
from stream.runtime.patience import RetryPolicy
from tests.instants import NOW_MS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path, "2026-11")
    return tmp_path


def add(folder: Path, kid: str) -> None:
    (folder / f"{kid}.json").write_bytes(orjson.dumps(new_signing_key(kid).key.as_dict(private=True)))


def opened(folder: Path) -> SessionKeys:
    keys = SessionKeys(folder)
    keys.open()
    return keys


def made(keys: SessionKeys | None, *roles: Role) -> Badge:
    return badge(Settings(), Policy(), roles or (Role.DETECT,), keys)


def test_other_keys_are_told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Under one id as well; such workers decide side by side."""
    other = tmp_path_factory.mktemp("other")
    add(other, "2026-11")
    ours, same = made(opened(folder)), replace(made(opened(folder)), name="same")
    assert Aspect.SESSION_KEYS not in differences([ours, same])
    for theirs in (made(opened(other)), made(None)):
        assert Aspect.SESSION_KEYS in differences([ours, theirs])
        assert conflict(ours, theirs, NOW_MS) is None
    assert ours.session_keys is not None
    assert [mark.id for mark in ours.session_keys] == ["2026-11"]


@pytest.mark.parametrize(("role", "has"), [(Role.DETECT, True), (Role.COMMAND, True), (Role.DECIDE, False)])
def test_roles_with_tokens(role: Role, has: bool, folder: Path) -> None:
    assert (made(opened(folder), role).session_keys is not None) is has


async def test_badge_follows_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is added while workers run is no difference once each has looked."""
    left: list[Badge] = []

    async def sign(roll: RedisRollCall, ours: Badge) -> list[Badge]:
        left.append(ours)
        return [ours]

    monkeypatch.setattr(RedisRollCall, "sign", sign)
    keys = opened(folder)
    time = StillTime(NOW_MS)
    watch = open_fleet_watch(Settings(), made(keys), None, time, RetryPolicy(), keys)  # type: ignore[arg-type]
    await watch.look()
    add(folder, "2026-12")
    keys.refresh()
    await watch.look()
    assert [[mark.id for mark in each.session_keys or ()] for each in left] == [["2026-11"], ["2026-11", "2026-12"]]
