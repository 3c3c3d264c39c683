"""`liveness abuse rules`: active and enforced rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from abuse.ledger.ledger import Switches
from config import settings as configuration
from config.limits.abuse import RULE_NAMES, AbusePolicy
from config.settings import Settings
from stream.bootstrap.abuse_table import table
from stream.cli.abuse.options import TenantOption
from stream.cli.console import JsonOption, out, print_json

SWITCHES = ("active", "enforced")


def command(tenant: TenantOption = None, json: JsonOption = False) -> None:
    """Show each rule as it is switched for a tenant, or for submissions that name none.

    What was never switched is as in the policy of the settings here, which should be the workers'.
    """
    settings = configuration.load()
    switched = asyncio.run(_switched(settings, tenant))
    for rule in _rules(settings.policy().abuse, switched):
        print_json(rule) if json else out.print(_line(rule))


async def _switched(settings: Settings, tenant: str | None) -> Switches:
    async with table(settings) as opened:
        return await opened.queries.switches(tenant)


def _rules(policy: AbusePolicy, switched: Switches) -> Iterator[dict[str, Any]]:
    """Rules with the setting in force, the policy's and the switched one."""
    for name in RULE_NAMES:
        by_policy = {switch: getattr(getattr(policy, name), switch) for switch in SWITCHES}
        by_switch = dict(switched.get(name, {}))
        yield {"rule": name, **by_policy, **by_switch, "policy": by_policy, "switched": by_switch}


def _line(rule: dict[str, Any]) -> Text:
    words = f"{rule['rule']:<19} "
    for switch in SWITCHES:
        words += f" {switch} {'yes' if rule[switch] else 'no':<3} "
    switched = ", ".join(f"{switch} {'yes' if on else 'no'}" for switch, on in rule["policy"].items())
    return Text.assemble(words, (f" switched; policy: {switched}", "yellow") if rule["switched"] else "")
