"""The operator's folder of private keys, kept current while the worker runs: keys are added and taken away by files.

A look at the folder reads only changed files and puts new keys in place of the old in one step. If anything is wrong
with a newer file, its last good key stays in use; every such change is logged once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from abuse.networks.watched_files import FileRefused, StillChanging, Version, read_version, reason, version_of
from config.errors import SettingsError
from stream.encryption import jwe
from stream.encryption.key_files import MAX_FILE_BYTES, KeyRefused, SelfieKey, read_key

log = structlog.get_logger()

SUFFIXES = (".json", ".jwk", ".pem")
MOST_KEYS = 16


@dataclass(frozen=True, slots=True)
class _Tracked:
    """A file: its last good key, the version last `seen`, and the `fault` of the latter."""

    key: SelfieKey | None = None
    seen: Version | None = None
    fault: str | None = None


class KeyFolder:
    """Private keys by kid. `decrypt` may be called from any thread, `refresh` by one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tracked: dict[str, _Tracked] = {}
        self._keys: Mapping[str, SelfieKey] = {}
        self._fault: str | None = None

    @property
    def kids(self) -> tuple[str, ...]:
        """Names of the keys in use, sorted."""
        return tuple(sorted(self._keys))

    def open(self) -> None:
        """The first look. Blocks. Raises SettingsError naming a folder or a file that can't be used."""
        self.refresh()
        faults = [f"{self._folder / name} {each.fault}" for name, each in self._tracked.items() if each.fault]
        if self._fault is not None:
            faults = [f"{self._folder} can't be read: {self._fault}"]
        elif not self._tracked:
            faults = [f"{self._folder} holds no key: expected {', '.join(f'*{suffix}' for suffix in SUFFIXES)}"]
        if faults:
            raise SettingsError(f"encryption.keys: {'; '.join(faults)}")

    def refresh(self) -> None:
        """Look again. Blocks, so not for the event loop. Raises nothing for a broken file or folder."""
        names = self._names()
        if names is None:
            return
        tracked: dict[str, _Tracked] = {}
        keys: dict[str, SelfieKey] = {}
        for name in names:
            looked = _looked_at(self._folder / name, self._tracked.get(name, _Tracked()))
            if looked.key is not None and (looked.key.kid in keys or len(keys) == MOST_KEYS):
                taken = looked.key.kid in keys
                looked = replace(
                    looked, fault="has the kid of another file" if taken else f"is beyond {MOST_KEYS} keys"
                )
            elif looked.key is not None:
                keys[looked.key.kid] = looked.key
            tracked[name] = looked
        self._say(tracked, keys)
        self._tracked, self._keys = tracked, keys

    def decrypt(self, compact: bytes) -> bytes:
        """Picture of a JWE. Blocks for milliseconds. Raises `jwe.DecryptionFailed`."""
        return jwe.decrypt(compact, self._keys)

    def _names(self) -> list[str] | None:
        """Names of the key files; None while the folder is away, whose keys then stay in use."""
        try:
            names = sorted(os.listdir(self._folder))
            fault = None
        except OSError as error:
            names, fault = None, reason(error)
        if fault != self._fault:
            self._fault = fault
            log.warning("decryption_keys_unreadable", why=fault) if fault else log.info(
                "decryption_keys_readable_again"
            )
        # A mounted Secret keeps its versions in hidden folders beside the links to the current one.
        return names and [name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]

    def _say(self, tracked: Mapping[str, _Tracked], keys: Mapping[str, SelfieKey]) -> None:
        for name, each in tracked.items():
            before = self._tracked.get(name)
            if each.fault and (before is None or before.fault != each.fault):
                log.error("decryption_key_unusable", file=name, why=each.fault, kept=each.key is not None)
        if keys.keys() != self._keys.keys():
            log.info("decryption_keys", kids=sorted(keys))


def _looked_at(path: Path, known: _Tracked) -> _Tracked:
    try:
        if version_of(path) == known.seen:
            return known
        version, content = read_version(path, max_bytes=MAX_FILE_BYTES)
    except StillChanging:
        return known
    except (OSError, FileRefused) as error:
        return replace(known, seen=None, fault=f"can't be read: {reason(error)}")
    try:
        return _Tracked(read_key(content, path.stem, private=True), version)
    except KeyRefused as error:
        return _Tracked(known.key, version, str(error))


class KeyWatch:
    """A background task that keeps a folder of keys current, one look after the other, each in a thread."""

    def __init__(self, folder: KeyFolder, every_s: float) -> None:
        self._folder, self._every_s = folder, every_s

    async def run(self) -> None:
        """Run until cancelled. Raises nothing for a broken file or folder, so an exception is a bug."""
        while True:
            await asyncio.sleep(self._every_s)
            await asyncio.to_thread(self._folder.refresh)
