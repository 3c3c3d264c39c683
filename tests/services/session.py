"""The service tiers of one run: each kind of services is started when the first test asks, and once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.services.choice import LOWEST_REAL, Chosen, ServiceTier, Starter, choose


class ServiceTiers:
    """`real()` and `any()` answer with the services of the run; `close()` ends those that were started."""

    def __init__(self, starters: Mapping[ServiceTier, Starter]) -> None:
        self._starters = dict(starters)
        self._chosen: dict[ServiceTier, Chosen] = {}

    def real(self) -> Chosen:
        """A real broker and a real Redis, or why there is none."""
        return self._choose(LOWEST_REAL, self._starters)

    def any(self) -> Chosen:
        """Real services where there are some, else the embedded ones."""
        real = self.real()
        if real.services is not None:
            return real
        lowest = ServiceTier.EMBEDDED
        embedded = self._choose(lowest, {lowest: self._starters[lowest]})
        return Chosen(embedded.services, (*real.missed, *embedded.missed))

    def _choose(self, lowest: ServiceTier, starters: Mapping[ServiceTier, Starter]) -> Chosen:
        if lowest not in self._chosen:
            self._chosen[lowest] = choose(starters, lowest)
        return self._chosen[lowest]

    def report(self) -> Iterator[str]:
        """Lines for the end of a run: which tier it had and why not a higher one."""
        if not self._chosen:
            yield "services: no test needed any"
        for chosen in self._chosen.values():
            yield f"services: {chosen.services.tier.title if chosen.services else 'no real ones'}"
            for tier, reason in chosen.missed:
                yield f"  not {tier.title}: {reason}"

    def close(self) -> None:
        for chosen in self._chosen.values():
            if chosen.services is not None:
                chosen.services.close()
        self._chosen.clear()
