"""The probe of a worker's health page, run by container health checks: often, so nothing heavy is imported.

Loading the whole command line costs 1.1 s of processor time a call, this module 0.1 s (measured). Run as
`python -m stream.health_probe` it reads LIVENESS_HTTP__HOST and LIVENESS_HTTP__PORT from the environment
alone; `liveness health` asks the same way and knows the settings file too.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from dataclasses import dataclass
from typing import Any, Literal

Page = Literal["live", "ready"]

TIMEOUT_S = 3.0
#: Addresses that mean "every interface" to a server; a client on the same machine uses the loopback.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read, never bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Answer of a health page. `state` is the worker's own; empty when nobody answered, and `fault` says why."""

    page: Page
    ok: bool
    state: dict[str, Any]
    fault: str = ""

    def words(self) -> str:
        """Line for people: what the worker does, or waits for."""
        verdict = self.page if self.ok else f"not {self.page}"
        if self.fault:
            return f"{verdict}: {self.fault}"
        waiting = ", ".join(self.state.get("waiting_for", ()))
        numbers = ("assigned", "partitions"), ("in_flight", "in flight"), ("lag", "to read")
        parts = [f"{self.state[key]} {name}" for key, name in numbers if key in self.state]
        if not waiting and self.state.get("assigned") == 0:
            parts = ["no partitions yet"]
        told = [f"waits for {waiting}"] if waiting else []
        return "; ".join([f"{verdict}: {', '.join(parts)}", *told, *self.state.get("troubles", ())])


def ask(host: str, port: int, page: Page = "live", timeout_s: float = TIMEOUT_S) -> Health:
    """Health by one request. Raises nothing for what a worker or a network can do: no answer is "not ok"."""
    connection = http.client.HTTPConnection(_LOOPBACK.get(host, host), port, timeout=timeout_s)
    try:
        connection.request("GET", f"/{page}")
        response = connection.getresponse()
        state = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        fault = f"no answer on port {port} ({type(error).__name__})"
        return Health(page=page, ok=False, state={}, fault=fault)
    finally:
        connection.close()
    if not isinstance(state, dict):
        return Health(page=page, ok=False, state={}, fault=f"port {port} is not a worker's health page")
    return Health(page=page, ok=response.status == http.client.OK and state.get("ok") is True, state=state)


def main() -> int:
    """Exit code: 0 live, 1 not, 2 the page is switched off."""
    port = os.environ.get("LIVENESS_HTTP__PORT", "0")
    if not port.isdecimal() or not int(port):
        print("the health page is off: set LIVENESS_HTTP__PORT", file=sys.stderr)
        return 2
    health = ask(os.environ.get("LIVENESS_HTTP__HOST", ""), int(port))
    print(health.words())
    return 0 if health.ok else 1


if __name__ == "__main__":
    sys.exit(main())
