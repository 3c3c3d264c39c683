"""The operator's folder of network lists, kept up to date while the worker runs.

Each `*.netset` or `*.ipset` file is one list, named by its file. A look at the folder (`refresh`) reads only changed
files and puts a new index in place of the old in one step. If anything is wrong with a newer file, the last good
version stays in use until it is too old; every such change is logged once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from abuse.event_time import DAY_MS
from abuse.networks.netset import MAX_BYTES, NetworkFile, parse
from abuse.networks.ranges import MAX_LISTS, NetworkIndex
from abuse.networks.watched_files import FileRefused, StillChanging, Version, read_version, reason, version_of
from config.errors import SettingsError

log = structlog.get_logger()

SUFFIXES = (".ipset", ".netset")
_NAME = re.compile(r"[a-z0-9_-]{1,32}")
#: A date further ahead than this is a mistake; clocks and time zones differ by less.
DATE_AHEAD_MS = DAY_MS
#: A file untouched for so long counts as finished, its last line as complete without a line end.
SETTLED_MS = 5_000
_TOO_MANY = f"more than {MAX_LISTS} lists"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListState:
    """A list as of the last look. `why`: why it is left out, or why an older version is still in use; without any text
    of the file."""

    file: str
    name: str
    used: bool
    why: str | None = None
    networks: int = 0
    malformed: int = 0
    malformed_lines: tuple[int, ...] = ()
    dated_ms: int | None = None
    age_days: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """The content of a version. Reading a version twice may give two, the first without an unfinished last line."""

    version: Version
    file: NetworkFile

    def dated_ms(self, now_ms: int) -> int:
        stated = self.file.dated_ms
        return stated if stated is not None and stated <= now_ms + DATE_AHEAD_MS else self.version.modified_ms


@dataclass(frozen=True, slots=True)
class _Tracked:
    """A file: its last good version, the version last `seen`, and the `fault` of the latter."""

    path: Path
    good: _Loaded | None = None
    seen: Version | None = None
    fault: str | None = None
    unfinished: bool = False


class NetworkLists:
    """Names of the lists an address is on. `index` may be read from any thread; `refresh` called by one at a time."""

    def __init__(self, folder: Path, *, max_age_days: float) -> None:
        self._folder = folder
        self._max_age_days = max_age_days
        self._tracked: dict[str, _Tracked] = {}
        self._states: dict[str, ListState] = {}
        self._in_index: dict[str, _Loaded] = {}
        #: Why the folder can't be looked at, while the lists read before stay in use.
        self.folder_fault: str | None = None
        self.index = NetworkIndex({})

    def state(self) -> tuple[ListState, ...]:
        """Lists as of the last look, sorted by file name."""
        return tuple(self._states[name] for name in sorted(self._states))

    def open(self, now_ms: int) -> None:
        """The first look. Blocks. Raises SettingsError when the folder can't be read; a broken file is only logged."""
        try:
            os.listdir(self._folder)
        except OSError as error:
            raise SettingsError(f"abuse.network_lists: {self._folder} can't be read: {reason(error)}") from None
        self.refresh(now_ms)
        if not self._tracked:
            log.warning("network_lists_empty", expected=", ".join(f"*{suffix}" for suffix in SUFFIXES))

    def refresh(self, now_ms: int) -> None:
        """Look again. Blocks, so not for the event loop. Raises nothing for a broken file or folder."""
        files = self._files()
        if files is not None:
            known = self._tracked
            tracked = {name: known.get(name, _Tracked(files[name])) for name in files}
            self._tracked = {
                name: _looked_at(each, now_ms) if number < MAX_LISTS else replace(each, good=None, fault=_TOO_MANY)
                for number, (name, each) in enumerate(tracked.items())
            }
        self._publish(self._judged(now_ms), now_ms)

    def _files(self) -> dict[str, Path] | None:
        """The lists' files by file name; None while the folder is away."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            self._folder_is(reason(error))
            return None
        self._folder_is(None)
        # A mounted ConfigMap keeps its versions in hidden folders beside the links to the current one.
        return {name: self._folder / name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")}

    def _folder_is(self, fault: str | None) -> None:
        if fault == self.folder_fault:
            return
        self.folder_fault = fault
        if fault:
            log.error("network_lists_unreadable", why=fault, kept=len(self._in_index))
        else:
            log.info("network_lists_readable_again")

    def _judged(self, now_ms: int) -> dict[str, ListState]:
        taken = set[str]()
        states = {}
        for file, tracked in self._tracked.items():
            state = _state_of(tracked, now_ms, self._max_age_days)
            if state.used and state.name in taken:
                state = replace(state, used=False, why="another file has the same name but for the ending")
            if state.used:
                taken.add(state.name)
            states[file] = state
        return states

    def _publish(self, states: dict[str, ListState], now_ms: int) -> None:
        """Swap the index if any of its lists changed, then log every change."""
        loaded = {file: good for file, each in self._tracked.items() if (good := each.good) is not None}
        wanted = {state.name: loaded[file] for file, state in states.items() if state.used}
        if wanted != self._in_index:
            self.index = NetworkIndex({name: good.file.ranges for name, good in wanted.items()})
            self._in_index = wanted
        for file in self._states.keys() - states.keys():
            log.warning("network_list_gone", file=file)
        for file, state in states.items():
            known = self._states.get(file)
            if known is None or _noteworthy(known) != _noteworthy(state):
                _log_state(state)
        self._states = states


def _looked_at(tracked: _Tracked, now_ms: int) -> _Tracked:
    if not _NAME.fullmatch(tracked.path.stem):
        return replace(tracked, fault="its name may have 1 to 32 of a-z, 0-9, _ and - before the ending")
    try:
        if not tracked.unfinished and version_of(tracked.path) == tracked.seen:
            return tracked
        return _read(tracked, now_ms)
    except StillChanging:
        return replace(tracked, seen=None)
    except OSError as error:
        return replace(tracked, seen=None, fault=f"can't be read: {reason(error)}")


def _read(tracked: _Tracked, now_ms: int) -> _Tracked:
    """The file as it is now. Raises OSError or StillChanging."""
    seen = version_of(tracked.path)
    try:
        seen, content = read_version(tracked.path, max_bytes=MAX_BYTES)
        finished = content.endswith(b"\n") or seen == tracked.seen or now_ms - seen.modified_ms > SETTLED_MS
        # Cut short in mid-line, a /16 may read /1, which lists half the world.
        trusted = content if finished else content[: content.rfind(b"\n") + 1]
        if content and not trusted:
            return replace(tracked, seen=seen, unfinished=True)
        file = parse(trusted)
    except FileRefused as refusal:
        return replace(tracked, seen=seen, fault=str(refusal), unfinished=False)
    return _Tracked(tracked.path, _Loaded(seen, file), seen, unfinished=not finished)


def _state_of(tracked: _Tracked, now_ms: int, max_age_days: float) -> ListState:
    name, good = tracked.path.stem, tracked.good
    if good is None:
        return ListState(file=tracked.path.name, name=name, used=False, why=tracked.fault or "still being written")
    dated_ms = good.dated_ms(now_ms)
    age_days = (now_ms - dated_ms) / DAY_MS
    too_old = age_days > max_age_days
    kept = f"an older version is in use; the newer one: {tracked.fault}" if tracked.fault else None
    return ListState(
        file=tracked.path.name,
        name=name,
        used=not too_old,
        why=f"older than {max_age_days:g} days" if too_old else kept,
        networks=good.file.networks,
        malformed=good.file.malformed,
        malformed_lines=good.file.malformed_lines,
        dated_ms=dated_ms,
        age_days=age_days,
    )


def _noteworthy(state: ListState) -> tuple[object, ...]:
    """The fields whose change is worth a log line; the age changes always."""
    return state.used, state.why, state.networks, state.malformed, state.dated_ms


def _log_state(state: ListState) -> None:
    about = {"file": state.file, "networks": state.networks, "age_days": round(state.age_days or 0.0, 1)}
    if not state.used:
        log.warning("network_list_left_out", why=state.why, file=state.file)
    elif state.why is None:
        log.info("network_list_used", **about)
    else:
        log.warning("network_list_kept", why=state.why, **about)
    if state.malformed:
        log.warning("network_list_lines_skipped", file=state.file, lines=state.malformed, first=state.malformed_lines)
