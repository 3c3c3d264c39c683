"""The rules, one file each, in the order they are asked and told.

`base` says what a rule is, and how most of them count. A new one is a file here, its line below, its limits
under the same name in `config.limits.abuse`, and, if it raises flags, its kind in `abuse.flags.flags`.
"""

from __future__ import annotations

from typing import Any

from abuse.rules.address_mismatch import AddressMismatch
from abuse.rules.address_velocity import AddressVelocity
from abuse.rules.attack_frequency import AttackFrequency
from abuse.rules.attack_severity import AttackSeverity
from abuse.rules.base import Rule
from abuse.rules.constant_id import ConstantId
from abuse.rules.content_mismatch import ContentMismatch
from abuse.rules.device_velocity import DeviceVelocity
from abuse.rules.excessive_retries import ExcessiveRetries
from abuse.rules.face_reuse import FaceReuse
from abuse.rules.listed_network import ListedNetwork
from abuse.rules.many_ids_on_address import ManyIdsOnAddress
from abuse.rules.media_replay import MediaReplay
from abuse.rules.shared_address import SharedAddress
from config.limits.abuse import AbusePolicy

#: Name of the limits in the policy -> rule.
RULES: dict[str, type[Rule[Any]]] = {
    "excessive_retries": ExcessiveRetries,
    "attack_frequency": AttackFrequency,
    "attack_severity": AttackSeverity,
    "content_mismatch": ContentMismatch,
    "device_velocity": DeviceVelocity,
    "constant_id": ConstantId,
    "address_velocity": AddressVelocity,
    "many_ids_on_address": ManyIdsOnAddress,
    "listed_network": ListedNetwork,
    "address_mismatch": AddressMismatch,
    "shared_address": SharedAddress,
    "face_reuse": FaceReuse,
    "media_replay": MediaReplay,
}


def rules_of(policy: AbusePolicy) -> tuple[Rule[Any], ...]:
    return tuple(rule(getattr(policy, name)) for name, rule in RULES.items())
