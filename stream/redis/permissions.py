"""The permissions of the worker's Redis user: a command that the user may not run is found at start-up, and not at
the first record that needs the command.

Each command is called on a key of no use, by its real name and with a right number of words. `ACL DRYRUN` would tell
the same, but only to an administrator, and nothing of a proxy or of a command that was renamed. The key holds a text,
so that commands for other kinds of values are answered WRONGTYPE, and write nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from redis.exceptions import NoPermissionError, ResponseError

from abuse.redis_port import Command
from config.errors import SettingsError
from config.settings import Settings
from stream.redis.client import each_server
from stream.redis.decision_store import PROBE
from stream.redis.faults import lacks_command
from stream.redis.node import Answer
from stream.redis.roll_call import fleet_key

LIFE_S = 60
#: Words of a refusal that is about keys and not about a command; and ours.
OF_KEYS = "access a key"
KEYS = "read and write all keys under the prefix (redis.key_prefix)"


async def require_commands(settings: Settings) -> None:
    """Start-up check, on every server that owns keys. May be repeated.

    Raises SettingsError for commands the user may not run or the server doesn't have, Unavailable. Vector sets are
    asked for where faces may be compared; a server without any is no error, and `bootstrap.abuse` says what follows.
    """
    key = f"{settings.redis_prefix}{PROBE.name}:{uuid.uuid4().hex}"
    commands = probing(key, vectors=bool(settings.abuse.hash_keys))
    fleet: Command = ("HDEL", fleet_key(settings.group_id), "nobody")
    async with each_server(settings.redis) as servers:
        for server in servers:
            *answers, told = await server.ask([*commands, fleet])
            troubles = list(_troubles(commands, answers))
            if isinstance(told, NoPermissionError) and OF_KEYS in str(told):
                troubles.append(f"the user may not read and write the key {fleet[1]!s}, of all workers of the group")
            if troubles:
                raise SettingsError(f"redis.url: {'; '.join(troubles)}")


def probing(key: str, *, vectors: bool) -> list[Command]:
    """Calls of every command that a worker uses; the key is gone after the last."""
    texts: list[Command] = [
        ("SET", key, "probe", "NX", "GET", "EX", LIFE_S),
        ("GET", key),
        ("TIME",),
        ("GETEX", key, "EX", LIFE_S),
        ("EXPIRE", key, LIFE_S),
        ("PEXPIRE", key, LIFE_S * 1000),
        ("PEXPIREAT", key, 0, "GT"),
    ]
    hashes: list[Command] = [
        *((name, key) for name in ("HGETALL", "HKEYS")),
        *((name, key, "field") for name in ("HGET", "HDEL")),
        *((name, key, "field", "value") for name in ("HSET", "HSETNX")),
    ]
    sets: list[Command] = [
        *(("SMEMBERS", key), ("SADD", key, "member"), ("SREM", key, "member")),
        *(("ZADD", key, 0, "member"), ("ZREM", key, "member")),
        *((name, key, 0, 0) for name in ("ZRANGE", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE")),
        *(("PFADD", key, "member"), ("PFCOUNT", key)),
    ]
    faces: list[Command] = [
        ("VADD", key, "VALUES", 1, 1, "element"),
        ("VSIM", key, "VALUES", 1, 1),
        *((name, key, "element") for name in ("VREM", "VGETATTR")),
        *((name, key) for name in ("VCARD", "VRANDMEMBER")),
        *(("APPEND", key, ""), ("GETRANGE", key, 0, 0), ("SETRANGE", key, 0, "")),
    ]
    return [*texts, *hashes, *sets, *(faces if vectors else ()), ("DEL", key)]


def _troubles(commands: Sequence[Command], answers: Sequence[Answer]) -> Iterator[str]:
    refused, lacking = list[str](), list[str]()
    for command, answer in zip(commands, answers, strict=True):
        name = str(command[0])
        if isinstance(answer, NoPermissionError):
            refused.append(KEYS if OF_KEYS in str(answer) else name)
        elif isinstance(answer, ResponseError) and lacks_command(answer) and not name.startswith("V"):
            lacking.append(name)
    if KEYS in refused:
        yield f"the user may not {KEYS}"
    if named := [name for name in refused if name != KEYS]:
        yield f"the user may not run {', '.join(named)}"
    if lacking:
        yield f"this Redis has no {', '.join(lacking)}"
