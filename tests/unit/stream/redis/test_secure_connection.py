"""TLS and users of Redis, on the embedded server behind a TLS relay: the server that ships has no TLS built in."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import redis

from config.errors import SettingsError, Unavailable
from config.groups.services import RedisSettings
from stream.redis.client import connect
from tests.certificates import Authority
from tests.tls_relay import TlsRelay

PASSWORD, WRONG = "Zebra-password", "Yak-password"


class Place:
    """The embedded Redis over TLS: `user` may get and set, `server` is the certificate it shows."""

    def __init__(self, url: str, folder: Path, relay: TlsRelay) -> None:
        self._path, self._relay = unquote(urlsplit(url).path), relay
        self.authority, self.stranger = Authority(folder), Authority(folder, "stranger")

    async def port(self, *, wants_certificate: bool = False, **server: object) -> int:
        context = self.authority.issue("server", **server).server()  # type: ignore[arg-type]
        if wants_certificate:
            context.load_verify_locations(self.authority.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return await self._relay.to(self._path, context)


@pytest.fixture
async def place(empty_redis: str, tmp_path: Path) -> AsyncIterator[Place]:
    relay = TlsRelay()
    with redis.Redis.from_url(empty_redis) as admin:
        rights = ["~*", "+get", "+set", "+client|setname", "+select"]
        admin.execute_command("ACL", "SETUSER", "worker", "reset", "on", f">{PASSWORD}", *rights)
        yield Place(empty_redis, tmp_path, relay)
        await relay.close()
        admin.execute_command("ACL", "DELUSER", "worker")


async def call(port: int, place: Place, *command: str, host: str = "127.0.0.1", **changed: object) -> object:
    given = {"ssl_cafile": place.authority.file, "username": "worker", "password": PASSWORD, "call_timeout_s": 10}
    client = connect(RedisSettings(url=f"rediss://{host}:{port}/0", **{**given, **changed}))
    try:
        return (await client.execute([command or ("GET", "key")]))[0]
    finally:
        await client.close()


async def test_user_over_tls(place):
    port = await place.port()
    assert await call(port, place, "SET", "key", "value") == b"OK"
    assert await call(port, place) == b"value"
    assert await call(port, place, host="localhost", ssl_check_hostname=False) == b"value"
    assert await call(port, place, ssl_cafile=None, ssl_verify=False) == b"value"


async def test_client_certificate(place):
    port, ours = await place.port(wants_certificate=True), place.authority.issue("client", password="of-the-key")
    mutual = {"ssl_certfile": ours.certificate, "ssl_keyfile": ours.key, "ssl_key_password": "of-the-key"}
    assert await call(port, place, **mutual) is None
    with pytest.raises(Unavailable, match=r"TLS: .* client certificate"):
        await call(port, place)


async def test_wrong_certificates(place):
    """Each is told apart, and waited for: a certificate is renewed without the worker."""
    right = await place.port()
    for port, changed, words in (
        (right, {"ssl_cafile": place.stranger.file}, "unable to get local issuer"),
        (right, {"ssl_cafile": None}, "unable to get local issuer"),
        (right, {"host": "localhost"}, "Hostname mismatch"),
        (await place.port(address="127.0.0.2"), {}, "IP address mismatch"),
        (await place.port(life=timedelta(hours=-1)), {}, "certificate has expired"),
    ):
        with pytest.raises(Unavailable, match=rf"TLS: the certificate isn't accepted \({words}"):
            await call(port, place, **changed)


async def test_wrong_users(place):
    port = await place.port()
    for changed, command, words in (
        ({"password": WRONG}, (), "Redis refuses this client"),
        ({"username": "nobody"}, (), "Redis refuses this client"),
        ({}, ("DEL", "key"), "the user may not run DEL"),
    ):
        with pytest.raises(SettingsError, match=words) as told:
            await call(port, place, *command, **changed)
        assert WRONG not in str(told.value)
        assert PASSWORD not in str(told.value)
