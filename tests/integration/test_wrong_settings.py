"""A worker whose settings only a service or a model shows to be wrong: it ends at its start, in one line that says what
to do, with the code of wrong settings."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.e2e.cli import liveness
from tests.e2e.fixtures import MakeInstallation
from tests.e2e.workers import LIVENESS, START_S
from tests.integration.test_own_model import DIMENSION, write_manifest

pytestmark = [pytest.mark.real, pytest.mark.slow]

FIRST = {"id": "k1", "secret": "1" * 32}
WRONG_SETTINGS = 2


def keys(secret: str) -> str:
    return orjson.dumps([FIRST, {"id": "k2", "secret": secret, "since": "2020-01-01T00:00:00Z"}]).decode()


async def test_mistyped_secret_ends_worker(install: MakeInstallation) -> None:
    """A different secret under a key id in use would make faces and subjects unfindable."""
    right, wrong = keys("2" * 32), keys("mistyped-" * 4)
    installation = await install(partitions=1, abuse__hash_keys=right)
    place = f"{installation.settings.redis_prefix}abuse:key-check:{{k2}}"
    worker = await installation.workers.start().ready()

    roles = ("detect", "decide", "command")
    others = [installation.workers.start(LIVENESS, "--roles", role, abuse__hash_keys=wrong) for role in roles]
    for other in others:
        assert await other.ended(START_S) == WRONG_SETTINGS
        (said,) = other.events("wrong_settings")
        for word in ("LIVENESS_ABUSE__HASH_KEYS", "key k2", place):
            assert word in said["why"]
        assert "mistyped" not in other.output
        assert "Traceback" not in other.output
    assert worker.code is None

    installation.environment["LIVENESS_ABUSE__HASH_KEYS"] = wrong
    erase = ("erase", "device:phone", "--actor", "ann", "--reason", "request")
    for words in (("rekey",), ("show", "address:203.0.113.7"), erase):
        ran = await liveness(installation, "abuse", *words, expect=WRONG_SETTINGS)
        assert "the secret of key k2" in ran.err
    installation.environment["LIVENESS_ABUSE__HASH_KEYS"] = right
    assert (await liveness(installation, "abuse", "rekey", "--json")).document["key"] == "k2"


async def test_wrong_manifest_ends_worker(install: MakeInstallation, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "model.toml", 127.5, None)
    manifest.write_text(manifest.read_text().replace(f"dimension = {DIMENSION}", "dimension = 512"))
    installation = await install(partitions=1, detection__template_manifest=str(manifest))
    words = f"the network answers {DIMENSION} numbers, not 512"

    worker = installation.workers.start()
    assert await worker.ended() == WRONG_SETTINGS
    (said,) = worker.events("wrong_settings")
    assert words in said["why"]
    assert "Traceback" not in worker.output
    listed = await liveness(installation, "models", "list", expect=1)
    assert words in listed.err
