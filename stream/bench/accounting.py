"""Processor time and peak memory of every process, by role, from the operating system's own books."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from detectors.pool.memory import resident_mib

WORKER, FORK_SERVER, SLOT = "worker", "fork_server", "slot"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTimes:
    """Processor seconds by role up to `moment` (monotonic seconds)."""

    moment: float
    cpu_s: Mapping[str, float]

    def since(self, earlier: ProcessorTimes) -> dict[str, float]:
        """Processor seconds by role since an earlier look."""
        return {role: cpu_s - earlier.cpu_s.get(role, 0.0) for role, cpu_s in self.cpu_s.items()}


class Books:
    """Accounts of a worker with its children and of the other processes named; of `idle` ones only the memory."""

    def __init__(self, worker_pid: int, others: Mapping[str, int], idle: Mapping[str, int] | None = None) -> None:
        self._worker = psutil.Process(worker_pid)
        self._others = dict(others)
        self._idle = dict(idle or {})

    def processor_times(self) -> ProcessorTimes:
        used: dict[str, float] = {WORKER: 0.0, FORK_SERVER: 0.0, SLOT: 0.0}
        for role, pid in self._processes():
            used[role] = used.get(role, 0.0) + _cpu_s(pid, with_reaped=role == FORK_SERVER)
        return ProcessorTimes(moment=time.monotonic(), cpu_s=used)

    def peak_mib(self) -> dict[str, float]:
        """Peak resident memory of each process; slots are numbered."""
        peaks: dict[str, float] = {}
        for role, pid in [*self._processes(), *self._idle.items()]:
            numbered = role == SLOT
            name = f"{role}_{sum(n.startswith(SLOT) for n in peaks) + 1}" if numbered else role
            peaks[name] = round(resident_mib(pid)[1], 1)
        return peaks

    def _processes(self) -> list[tuple[str, int]]:
        """Processes by role: the worker's child is the fork server, whose children are the slots."""
        found = [(WORKER, self._worker.pid)]
        for server in self._worker.children():
            found.append((FORK_SERVER, server.pid))
            found += [(SLOT, slot.pid) for slot in sorted(server.children(), key=lambda p: p.pid)]
        return found + list(self._others.items())


def listening_on(host: str, port: int) -> int | None:
    """Process id behind a loopback address; None if the process is elsewhere or hidden."""
    if host not in _LOOPBACK:
        return None
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            return int(connection.pid) if connection.pid else None
    return None


def _cpu_s(pid: int, *, with_reaped: bool) -> float:
    """Processor seconds, user and system; of the fork server also those of slots that have ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    own = times.user + times.system
    reaped = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(own + reaped if with_reaped else own)
