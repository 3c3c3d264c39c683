"""The operator's folders of keys, kept current while the worker runs: keys are added and taken away by files.

A look at the folder reads only changed files and puts new keys in place of the old in one step. If anything is wrong
with a newer file, its last good key stays in use; every such change is logged once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from abuse.networks.watched_files import FileRefused, StillChanging, Version, read_version, reason, version_of
from config.errors import SettingsError
from stream.encryption import jwe
from stream.encryption.key_files import MAX_FILE_BYTES, KeyRefused, SelfieKey, read_key
from stream.encryption.reviewer_keys import SigningKey, read_signing_key

log = structlog.get_logger()

SUFFIXES = (".json", ".jwk", ".pem")
MOST_KEYS = 16
#: Tenants with a key of their own; a look at so many files takes 10 ms.
MOST_TENANTS = 1000
#: Name of the key for submissions without a tenant: no tenant can have it.
NO_TENANT = "@"


class NamedKey(Protocol):
    """Key with a name."""

    @property
    def kid(self) -> str: ...


K = TypeVar("K", bound=NamedKey)


@dataclass(frozen=True, slots=True)
class _Tracked(Generic[K]):
    """A file: its last good key, the version last `seen`, and the `fault` of the latter."""

    key: K | None = None
    seen: Version | None = None
    fault: str | None = None


class WatchedKeys(Generic[K]):
    """Keys of a folder by kid. `refresh` is called by one at a time.

    `read`: key of a file's content and name, or KeyRefused. `setting` names the folder in errors, `use` the keys in
    logs. `most`: keys beyond are refused.
    """

    def __init__(
        self, folder: Path, read: Callable[[bytes, str], K], *, setting: str, use: str, most: int = MOST_KEYS
    ) -> None:
        self._folder, self._read, self._setting, self._use = folder, read, setting, use
        self._most = most
        self._tracked: dict[str, _Tracked[K]] = {}
        self._keys: Mapping[str, K] = {}
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
            raise SettingsError(f"{self._setting}: {'; '.join(faults)}")

    def refresh(self) -> None:
        """Look again. Blocks, so not for the event loop. Raises nothing for a broken file or folder."""
        names = self._names()
        if names is None:
            return
        tracked: dict[str, _Tracked[K]] = {}
        keys: dict[str, K] = {}
        for name in names:
            looked = self._looked_at(name)
            if looked.key is not None and (looked.key.kid in keys or len(keys) == self._most):
                taken = looked.key.kid in keys
                looked = replace(
                    looked, fault="has the kid of another file" if taken else f"is beyond {self._most} keys"
                )
            elif looked.key is not None:
                keys[looked.key.kid] = looked.key
            tracked[name] = looked
        self._say(tracked, keys)
        self._tracked, self._keys = tracked, keys

    def _names(self) -> list[str] | None:
        """Names of the key files; None while the folder is away, whose keys then stay in use."""
        try:
            names = sorted(os.listdir(self._folder))
            fault = None
        except OSError as error:
            names, fault = None, reason(error)
        if fault != self._fault:
            self._fault = fault
            if fault:
                log.warning(f"{self._use}_keys_unreadable", why=fault)
            else:
                log.info(f"{self._use}_keys_readable_again")
        # A mounted Secret keeps its versions in hidden folders beside the links to the current one.
        return names and [name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]

    def _looked_at(self, name: str) -> _Tracked[K]:
        path, known = self._folder / name, self._tracked.get(name) or _Tracked()
        try:
            if version_of(path) == known.seen:
                return known
            version, content = read_version(path, max_bytes=MAX_FILE_BYTES)
        except StillChanging:
            return known
        except (OSError, FileRefused) as error:
            return replace(known, seen=None, fault=f"can't be read: {reason(error)}")
        try:
            return _Tracked(self._read(content, path.stem), version)
        except KeyRefused as error:
            return _Tracked(known.key, version, str(error))

    def _say(self, tracked: Mapping[str, _Tracked[K]], keys: Mapping[str, K]) -> None:
        for name, each in tracked.items():
            before = self._tracked.get(name)
            if each.fault and (before is None or before.fault != each.fault):
                log.error(f"{self._use}_key_unusable", file=name, why=each.fault, kept=each.key is not None)
        if keys.keys() != self._keys.keys():
            log.info(f"{self._use}_keys", kids=sorted(keys)[:MOST_KEYS])  # of a thousand tenants the first


class KeyFolder(WatchedKeys[SelfieKey]):
    """Keys of encrypted selfies. `decrypt` may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, partial(read_key, private=True), setting="encryption.keys", use="decryption")

    def decrypt(self, compact: bytes) -> bytes:
        """Picture of a JWE. Blocks for milliseconds. Raises `jwe.DecryptionFailed`."""
        return jwe.decrypt(compact, self._keys)


class SessionKeys(WatchedKeys[SigningKey]):
    """Keys that sign session tokens."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, read_signing_key, setting="sessions.keys", use="session")

    def get(self, kid: str) -> SigningKey | None:
        return self._keys.get(kid)


@dataclass(frozen=True, slots=True)
class TenantKey:
    """Public key of a tenant, named by the file: `kid` is the tenant, or `NO_TENANT`."""

    kid: str
    key: SelfieKey


class ImageKeys(WatchedKeys[TenantKey]):
    """Public keys of tenants, to which session images are encrypted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _tenant_key, setting="sessions.image_keys", use="session_image", most=MOST_TENANTS)

    def get(self, tenant: str | None) -> SelfieKey | None:
        """Key of a tenant as it is now, None if there is none; for `stream.pipeline.capture.session_images`."""
        found = self._keys.get(NO_TENANT if tenant is None else tenant)
        return None if found is None else found.key


def _tenant_key(content: bytes, name: str) -> TenantKey:
    key = read_key(content, name, private=False)
    if key.key.is_private:
        raise KeyRefused("holds a private key, which the tenant alone should have")
    return TenantKey(name, key)
