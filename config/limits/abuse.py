"""Limits of the abuse rules, part of the policy: what counts as too much, over how long, and what follows.

Every rule is `active` (it looks and explains) and `enforced` (what it finds may refuse a submission). A rule
that is active and not enforced is a shadow: its flags say so and refuse nobody. Both can be changed at run time
for one tenant by a `settings.update` command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from config.limits.frozen import Frozen

HOUR_S, DAY_S = 3600, 86_400
#: No rule counts further: the journals keep at least so much of a subject.
MOST_COUNTED = 256
#: Nor further than this where correlation ids are linked: of a larger cluster only a part is looked at.
MOST_IN_CLUSTER = 32


class _Limits(Frozen):
    model_config = ConfigDict(use_attribute_docstrings=True)


class RuleLimits(_Limits):
    active: bool = True
    """Look, and say what was found."""
    enforced: bool = False
    """What was found refuses its subject; otherwise a shadow."""


class RetryLimits(RuleLimits):
    """Too many tries by one correlation id: a pause; too many pauses: a block."""

    enforced: bool = True
    """What was found refuses its subject; otherwise a shadow."""
    failures: int = Field(5, ge=1, le=MOST_COUNTED)
    """SPOOF verdicts within the failure window that earn a pause."""
    failure_window_s: int = Field(180, ge=1, le=DAY_S)
    """Seconds."""
    attempts: int = Field(10, ge=1, le=MOST_COUNTED)
    """Attempts of any kind within the attempt window that earn a pause."""
    attempt_window_s: int = Field(HOUR_S, ge=1, le=DAY_S)
    """Seconds."""
    pause_s: int = Field(1800, ge=1, le=DAY_S)
    """Length of a pause, seconds."""
    pauses: int = Field(3, ge=2, le=20)
    """Pauses within the pause window that earn a block."""
    pause_window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""
    # A flag is raised once a day: after a shorter block the rest of the day would be free.
    block_s: int = Field(7 * DAY_S, ge=DAY_S)
    """A block decays after so many seconds, unless a reviewer decides before."""


class AttackFrequencyLimits(RuleLimits):
    """How often one correlation id was seen to attack."""

    attacks: int = Field(8, ge=1, le=MOST_COUNTED)
    """SPOOF verdicts within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class AttackSeverityLimits(RuleLimits):
    """How blatant attacks of one correlation id were."""

    # Measured: of 202 attacks 8 were SPOOF, the worst at 0.20; bona fide pictures never above 0.00 (docs/ABUSE.md).
    severity: float = Field(0.1, gt=0, le=1)
    """An attack counts from this share of the way down from the SPOOF bound to confidence 0."""
    attacks: int = Field(3, ge=1, le=MOST_COUNTED)
    """Such attacks within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class AddressVelocityLimits(RuleLimits):
    """Submissions from one address, for any correlation id."""

    submissions: int = Field(60, ge=1, le=MOST_COUNTED)
    """Within the window."""
    window_s: int = Field(HOUR_S, ge=1, le=DAY_S)
    """Seconds."""


class ManyIdsLimits(RuleLimits):
    """Correlation ids on one address, and on its prefix (IPv4 /24, IPv6 /64)."""

    ids: int = Field(15, ge=2, le=MOST_COUNTED)
    """On one address within the window."""
    prefix_ids: int = Field(60, ge=2, le=MOST_COUNTED)
    """On one prefix within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class SharedAddressLimits(RuleLimits):
    """Many ids and few attacks: an address that people share (carrier NAT, an office), which lowers its risk."""

    ids: int = Field(15, ge=2, le=MOST_COUNTED)
    """From so many correlation ids on."""
    spoof_ratio: float = Field(0.10, gt=0, le=1)
    """The share of SPOOF verdicts is not surely (Wilson's 95 % interval) as high; fewer than three never count."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class DeviceVelocityLimits(RuleLimits):
    """Correlation ids and submissions of one device."""

    ids: int = Field(5, ge=2, le=MOST_COUNTED)
    """Correlation ids within the window."""
    submissions: int = Field(30, ge=1, le=MOST_COUNTED)
    """Submissions within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class ConstantIdLimits(RuleLimits):
    """A correlation id used by many: the publisher's fault. Its tries are no person's, and earn no pause."""

    # Below the attempts that earn a pause, or the pause would come first;
    # a person has a few devices and networks a day.
    senders: int = Field(8, ge=2, le=MOST_IN_CLUSTER)
    """Devices within a day, and prefixes of addresses, where both are sent."""


class ListedNetworkLimits(RuleLimits):
    """Addresses on a mounted list (its file's name), or by database `asn-N` and `country-XX`."""

    points: dict[str, int] = Field({"tor": 60, "vpn": 30, "hosting": 25})
    """Points of risk by name, 0 to 100."""
    other_points: int = Field(20, ge=0, le=100)
    """Points for a list not named; networks by database count only when named."""
    flag_from: int = Field(50, ge=1, le=100)
    """Points from which an address is flagged."""


class AddressMismatchLimits(RuleLimits):
    """The address is not the one the publisher expected."""

    mismatches: int = Field(1, ge=1, le=MOST_COUNTED)
    """Of one correlation id within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class ContentMismatchLimits(RuleLimits):
    """Other content under a used submission id."""

    mismatches: int = Field(1, ge=1, le=MOST_COUNTED)
    """Of one correlation id within the window."""
    window_s: int = Field(DAY_S, ge=1, le=DAY_S)
    """Seconds."""


class FaceReuseLimits(RuleLimits):
    """Face under several correlation ids. Switched off, no face template is made use of or kept."""

    allowed_ids: int = Field(2, ge=1, le=MOST_IN_CLUSTER)
    """Correlation ids one face may appear under within the window; one more is flagged."""
    window_s: int = Field(7 * DAY_S, ge=1, le=30 * DAY_S)
    """How far back faces are looked for, seconds."""
    false_links: float = Field(0.01, gt=0, le=1)
    """The chance of linking a submission to a stranger; with the size of the gallery it sets the bound on distances."""


class MediaReplayLimits(RuleLimits):
    """Picture used again under another correlation id or session. Switched off, no picture hash is kept."""

    uses: int = Field(2, ge=2, le=MOST_IN_CLUSTER)
    """Pairs of correlation id and session that used the picture within the window."""
    window_s: int = Field(7 * DAY_S, ge=1, le=30 * DAY_S)
    """How far back pictures are looked for, seconds."""
    bits: int = Field(7, ge=0, le=7)
    """Bits of 64 in which the perceptual hashes of two copies may differ."""


class RiskPoints(_Limits):
    """Points of IP risk at a rule's limit; half of them at half the limit, never more than twice."""

    address_velocity: int = Field(20, ge=0, le=100)
    """Submissions from the address."""
    ids_on_address: int = Field(25, ge=0, le=100)
    """Correlation ids on the address."""
    ids_on_prefix: int = Field(15, ge=0, le=100)
    """Correlation ids on its prefix."""
    spoof_ratio: int = Field(40, ge=0, le=100)
    """When every submission from the address is SPOOF."""
    address_mismatch: int = Field(35, ge=0, le=100)
    """Another address than expected."""
    shared_address: int = Field(120, ge=0, le=200)
    """Taken off for a shared address; never more than velocity and ids put on, which by default is all of it."""


class AbusePolicy(_Limits):
    """The rules, each under its own name, and what they have in common."""

    excessive_retries: RetryLimits = RetryLimits()
    attack_frequency: AttackFrequencyLimits = AttackFrequencyLimits()
    attack_severity: AttackSeverityLimits = AttackSeverityLimits()
    address_velocity: AddressVelocityLimits = AddressVelocityLimits()
    many_ids_on_address: ManyIdsLimits = ManyIdsLimits()
    shared_address: SharedAddressLimits = SharedAddressLimits()
    device_velocity: DeviceVelocityLimits = DeviceVelocityLimits()
    constant_id: ConstantIdLimits = ConstantIdLimits()
    listed_network: ListedNetworkLimits = ListedNetworkLimits()
    address_mismatch: AddressMismatchLimits = AddressMismatchLimits()
    content_mismatch: ContentMismatchLimits = ContentMismatchLimits()
    face_reuse: FaceReuseLimits = FaceReuseLimits()
    media_replay: MediaReplayLimits = MediaReplayLimits()
    risk: RiskPoints = RiskPoints()
    flag_ttl_s: int = Field(30 * DAY_S, ge=DAY_S, le=400 * DAY_S)
    """A flag expires after so many seconds; confirming it begins them anew."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        retries = self.excessive_retries
        if not retries.pause_s <= retries.block_s <= self.flag_ttl_s:
            raise ValueError("excessive_retries: pause_s, block_s and flag_ttl_s must rise in this order")
        if any(not 0 <= points <= 100 for points in self.listed_network.points.values()):
            raise ValueError("listed_network.points must be 0 to 100")
        return self

    def switched(self, switches: Mapping[str, Mapping[str, bool]]) -> AbusePolicy:
        """With the `active` and `enforced` of some rules changed: rule -> switch -> on."""
        changed = {rule: getattr(self, rule).model_copy(update=dict(on)) for rule, on in switches.items()}
        return self.model_copy(update=changed)


#: Rules that others need to know by name: what only they look at is neither made nor kept where they are off.
FACE_REUSE, MEDIA_REPLAY = "face_reuse", "media_replay"
#: The rules that can be switched, by name.
RULE_NAMES = tuple(name for name, field in AbusePolicy.model_fields.items() if isinstance(field.default, RuleLimits))
