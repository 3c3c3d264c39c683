"""The secure pair: its files, the login of each principal, and ACLs made from what `liveness topics acls` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from config.settings import Settings
from stream.kafka.clients.security import librdkafka_security
from tests.e2e.cli import quick_liveness
from tests.e2e.installation import Installation
from tests.e2e.private_pair import MISSING, MissingPrograms, PrivatePair
from tests.services.starters import local_services


class SecurePair(PrivatePair):
    """Pair of services that was started with `--secure`; every later command finds it so."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.secrets = state / "secrets"
        self.started = ""

    def up(self) -> None:
        """Start both; raises MissingPrograms. `started` is what was printed."""
        code, output, errors = local_services("up", self.secrets.parent, "--secure")
        if code == MISSING:
            raise MissingPrograms(errors)
        assert code == 0, errors
        self.started = output + errors
        self.environment = dict(re.findall(r"(LIVENESS_[A-Z_]+)=(\S+)", output))

    def port(self, name: str) -> int:
        """Port of one of the broker's listeners."""
        return int(json.loads((self.secrets.parent / "state.json").read_text())["services"]["kafka"]["ports"][name])

    def passwords(self) -> list[str]:
        return [file.read_text() for file in (self.secrets / "passwords").iterdir()]

    def login(self, user: str) -> dict[str, str]:
        """Settings of a user of the broker, in lower case as `Installation.restarted` takes them."""
        return {"kafka__sasl_username": user, "kafka__sasl_password_file": str(self.secrets / "passwords" / user)}

    async def grant(self, installation: Installation) -> None:
        """Carry out the calls of Kafka's tool that the command prints."""
        printed = await quick_liveness(installation, "topics", "acls")
        calls = printed.out.decode().splitlines()
        self.admin(installation.settings, [binding for call in calls for binding in _bindings(call.split())])

    def admin(self, settings: Settings, bindings: Iterable[AclBinding]) -> None:
        client = admin_client(settings)  # which ends, with its answers, when nobody holds it
        for made in client.create_acls(list(bindings)).values():
            made.result(30)

    def revoke(self, settings: Settings, kind: ResourceType, name: str, user: str) -> None:
        which = (kind, name, ResourcePatternType.LITERAL, f"User:{user}", None)
        asked = AclBindingFilter(*which, AclOperation.ANY, AclPermissionType.ALLOW)
        client = admin_client(settings)
        for gone in client.delete_acls([asked]).values():
            assert gone.result(30), "there was such a right"


def admin_client(settings: Settings) -> AdminClient:
    kafka = settings.kafka
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers, **librdkafka_security(kafka)})


def _bindings(words: list[str]) -> list[AclBinding]:
    """ACLs that `kafka-acls.sh` makes of its options."""
    assert words[0] == "kafka-acls.sh"
    assert "--add" in words
    options: dict[str, list[str]] = {}
    for name, value in pairwise(words):
        if name.startswith("--") and not value.startswith("--"):
            options.setdefault(name.removeprefix("--"), []).append(value)
    kind = "topic" if "topic" in options else "group"
    pattern = ResourcePatternType[options.get("resource-pattern-type", ["literal"])[0].upper()]
    resource: tuple[Any, ...] = (ResourceType[kind.upper()], options[kind][0], pattern)
    user, allow = options["allow-principal"][0], AclPermissionType.ALLOW
    return [AclBinding(*resource, user, "*", _operation(name), allow) for name in options["operation"]]


def _operation(name: str) -> AclOperation:
    return AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()]
