"""The permissions of Redis users, on a real server with users of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import redis

from config.errors import SettingsError
from config.settings import Settings
from stream.embedded.store import EmbeddedStore
from stream.redis.permissions import probing, require_commands
from tests.unit.stream.redis.scripted_redis import scripted

ROOT = Path(__file__).parents[4]
PASSWORD = "of-a-test"
ALL = ("~liveness:*", "+@all")
HASH_KEYS = [{"id": "k1", "secret": "1" * 32}]


@pytest.fixture
def operator(empty_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(empty_redis) as client:
        yield client
        client.acl_deluser("worker")


def settings(url: str, *, faces: bool = True) -> Settings:
    return Settings(redis={"url": url, "call_timeout_s": 20}, abuse={"hash_keys": HASH_KEYS if faces else []})


def as_worker(operator: redis.Redis, url: str, *rights: str) -> str:
    """The address for a user with these rights."""
    operator.execute_command("ACL", "SETUSER", "worker", "reset", "on", f">{PASSWORD}", *rights)
    return f"{url.replace('unix://', f'unix://worker:{PASSWORD}@')}"


async def test_probing_leaves_nothing(empty_redis, operator):
    await require_commands(settings(as_worker(operator, empty_redis, *ALL)))
    assert operator.keys() == []


def test_each_call_reaches_its_command(operator):
    """A wrong number of words would be answered before anybody asks for rights."""
    for command in probing("liveness:probe", vectors=True):
        try:
            operator.execute_command(*command)
        except redis.ResponseError as error:
            assert str(error).startswith("WRONGTYPE"), command  # noqa: PT017  # most calls are answered so


#: A user's rights, and words of the refusal.
NARROW = {
    "vadd": ((*ALL, "-vadd"), "the user may not run VADD$"),
    "several": ((*ALL, "-vsim", "-zadd", "-hsetnx"), "not run HSETNX, ZADD, VSIM$"),
    "set": ((*ALL, "-set"), "may not run SET$"),
    "del": ((*ALL, "-del"), "may not run DEL$"),
    "reads": ((*ALL, "-@write"), "may not run SET, GETEX, EXPIRE, .*ZADD, .*, DEL$"),
    "other keys": (("~others:*", "+@all"), "may not read and write all keys under the prefix"),
    "no fleet": (("~liveness:probe:*", "+@all"), "may not read and write the key liveness:fleet, of all workers"),
    "read only": (("%R~liveness:*", "+@all"), "may not read and write all keys under the prefix"),
    "no setname": ((*ALL, "-client"), r"the user may not run CLIENT\|SETNAME"),
}


@pytest.mark.parametrize(("rights", "words"), NARROW.values(), ids=NARROW)
async def test_missing_right_is_named(empty_redis, operator, rights, words):
    with pytest.raises(SettingsError, match=r"^redis\.url: .*" + words) as refused:
        await require_commands(settings(as_worker(operator, empty_redis, *rights)))
    assert PASSWORD not in str(refused.value)


async def test_rights_of_the_document_are_enough(empty_redis, operator):
    """The line of deploy/README.md, word for word."""
    text = (ROOT / "deploy/README.md").read_text().partition("ACL SETUSER")[2].partition("```")[0]
    rights = [word for word in text.split() if word[0] in "~+"]
    assert rights[0] == "~liveness:*"
    await require_commands(settings(as_worker(operator, empty_redis, *rights)))


async def test_vectors_are_for_faces_alone(empty_redis, operator):
    url = as_worker(operator, empty_redis, *ALL, "-vadd", "-vsim", "-vrem", "-vcard", "-vgetattr", "-vrandmember")
    await require_commands(settings(url, faces=False))
    with pytest.raises(SettingsError, match="VADD"):
        await require_commands(settings(url))


@pytest.mark.parametrize("says", ["unknown command", "unsupported command", "Command is not available:"])
async def test_server_without_a_command(says):
    """A command that was renamed, or that a proxy doesn't pass on; a Redis without vector sets is told elsewhere."""

    def script(command: list[bytes]) -> bytes:
        missing = command[0] in (b"GETEX", b"VADD", b"VSIM")
        return f"-ERR {says} 'x'\r\n".encode() if missing else b"+OK\r\n"

    async with scripted(script) as (server,):
        with pytest.raises(SettingsError, match=r"^redis\.url: this Redis has no GETEX$"):
            await require_commands(settings(f"redis://127.0.0.1:{server.port}/0"))


def test_every_command_in_use_is_probed(embedded_redis: EmbeddedStore):
    """Names of Redis commands in the code of the adapters: each is probed, and none that isn't used."""
    with redis.Redis.from_url(embedded_redis.url) as client:
        names = {name.decode().upper() for name in client.execute_command("COMMAND LIST")}
    of_no_user = {"CLUSTER", "ASKING", "CONFIG", "INFO", "READONLY"}  # topology, questions, a reply
    rooms = [*(ROOT / "abuse").rglob("*.py"), *(ROOT / "stream/redis").glob("*.py")]
    used = set().union(*(_texts(path) for path in rooms if path.name != "permissions.py")) & names - of_no_user
    assert used == {cast(str, command[0]) for command in probing("key", vectors=True)}


def _texts(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
