"""The ladder of one run: each kind of services is started when the first test asks, and once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.services.choice import LOWEST_REAL, Climb, Services, ServiceTier, Starter, climb


class ServiceTiers:
    """`real()` and `embedded()` answer with what was reached; `close()` ends what was started."""

    def __init__(self, starters: Mapping[ServiceTier, Starter]) -> None:
        self._starters = dict(starters)
        self._climbs: dict[ServiceTier, Climb] = {}

    def real(self) -> Climb:
        """A real broker and a real Redis, or why there is none."""
        return self._climbed(LOWEST_REAL)

    def any(self) -> Climb:
        """Real services where there are some, else the embedded ones."""
        real = self.real()
        if real.services is not None:
            return real
        embedded = self._climbed(ServiceTier.EMBEDDED)
        return Climb(embedded.services, (*real.missed, *embedded.missed))

    def _climbed(self, lowest: ServiceTier) -> Climb:
        if lowest not in self._climbs:
            above = {rung: starter for rung, starter in self._starters.items() if rung >= lowest}
            if lowest is ServiceTier.EMBEDDED:  # the real rungs were tried by then
                above = {ServiceTier.EMBEDDED: self._starters[ServiceTier.EMBEDDED]}
            self._climbs[lowest] = climb(above, lowest)
        return self._climbs[lowest]

    def report(self) -> Iterator[str]:
        """Lines for the end of a run: which rung it had and why not a higher one."""
        if not self._climbs:
            yield "services: no test needed any"
        for result in self._climbs.values():
            yield f"services: {result.services.rung.title if result.services else 'no real ones'}"
            for rung, reason in result.missed:
                yield f"  not {rung.title}: {reason}"

    def close(self) -> None:
        for services in self._started():
            services.close()
        self._climbs.clear()

    def _started(self) -> list[Services]:
        return [result.services for result in self._climbs.values() if result.services is not None]
