"""Memory of a slot process, from /proc."""

from __future__ import annotations

from pathlib import Path


def resident_mib(pid: int) -> tuple[float, float]:
    """(now, peak) resident MiB of a process; zeros if the process is gone or the system has no /proc."""
    fields = {"VmRSS:": 0.0, "VmHWM:": 0.0}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    for line in lines:
        name, *rest = line.split()
        if name in fields:
            fields[name] = int(rest[0]) / 1024  # the kernel says kB and means KiB
    return fields["VmRSS:"], fields["VmHWM:"]
