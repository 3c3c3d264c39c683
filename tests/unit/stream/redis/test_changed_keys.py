"""A change of keys at Redis, step by step: the old and the new password or authority are accepted side by side."""

from __future__ import annotations

import pytest
import redis

from config.errors import SettingsError
from tests.unit.stream.redis.test_secure_connection import PASSWORD, Place, call, place

__all__ = ["place"]  # a fixture

NEW = "Gnu-password"


async def test_passwords_overlap(place: Place, empty_redis: str) -> None:
    port = await place.port()
    with redis.Redis.from_url(empty_redis) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", f">{NEW}")
        assert [await call(port, place, password=each) for each in (PASSWORD, NEW)] == [None, None]
        admin.execute_command("ACL", "SETUSER", "worker", f"<{PASSWORD}")
        assert await call(port, place, password=NEW) is None
        with pytest.raises(SettingsError, match="Redis refuses this client"):
            await call(port, place, password=PASSWORD)


async def test_authorities_overlap(place: Place) -> None:
    """Certificates of either authority are accepted while both are in the file."""
    old = await place.port()
    both = place.authority.file.with_name("both.pem")
    both.write_bytes(place.authority.file.read_bytes() + place.stranger.file.read_bytes())
    place.authority, gone = place.stranger, place.authority
    new = await place.port()
    assert gone.file != place.authority.file
    assert [await call(port, place, ssl_cafile=both) for port in (old, new)] == [None, None]
