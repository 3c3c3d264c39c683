"""Targets: flags and subjects as the command line names them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from abuse.flags.flags import FLAG_ID
from abuse.keys.subject_hasher import plain_address
from abuse.subjects import HASHED_KEY, PREFIX_LENGTH, Subject, SubjectType, correlation
from config.settings import Settings
from stream.bootstrap.abuse import hasher, require_same_secrets
from stream.bootstrap.abuse_table import table
from stream.cli.console import say
from stream.events.message.ids import canonical_guid, is_guid
from stream.runtime.clock import SYSTEM_CLOCK
from stream.runtime.patience import DependencyTimeout

HELP = (
    "A flag id (fl_...), a correlation id, or device:, address: or prefix: followed by the hashed key that a flag has, "
    "or by the device id or address itself."
)
TargetArgument = Annotated[str, typer.Argument(help=HELP)]
SUBJECT_HELP = HELP.replace("A flag id (fl_...), a correlation id", "A correlation id")
SubjectArgument = Annotated[str, typer.Argument(help=SUBJECT_HELP)]
_NO_KEYS = "an address or device can only be found with LIVENESS_ABUSE__HASH_KEYS set as in the workers"


#: Seconds to wait for Redis in a command that may need Redis for nothing else.
CHECK_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A target: either a flag or a subject."""

    flag_id: str | None = None
    subject: Subject | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a command that name the target."""
        if self.subject is None:
            return {"flag_id": self.flag_id}
        return {"subject": {"type": self.subject.type, "key": self.subject.key, "former": list(self.subject.former)}}


def named(text: str, tenant: str | None, settings: Settings) -> Named:
    """The target that `text` names; a raw address or device is hashed under the key in force by the store's time.

    Raises BadParameter, which doesn't quote the text (an address, perhaps), and SettingsError if a secret differs
    from the workers' secret of the same key id.
    """
    if re.fullmatch(FLAG_ID, text):
        return Named(flag_id=text)
    if is_guid(text):
        return Named(subject=correlation(canonical_guid(text)))
    kind, colon, key = text.partition(":")
    if not colon or kind not in ("device", "address", "prefix"):
        raise _wrong(_shape_of(text, settings))
    if re.fullmatch(HASHED_KEY, key):
        return Named(subject=Subject(type=SubjectType(kind), key=key))
    return Named(subject=_hashed(kind, key, tenant, settings))


def _hashed(kind: str, key: str, tenant: str | None, settings: Settings) -> Subject:
    hashing = hasher(settings, settings.policy())
    if hashing is None:
        raise _wrong(_NO_KEYS)
    now_ms = asyncio.run(_checked_time(settings))
    make = {"device": hashing.device, "address": hashing.address, "prefix": hashing.prefix}[kind]
    try:
        return make(tenant, _address_in(key) if kind == "prefix" else key, now_ms)
    except ValueError:
        lengths = " or ".join(f"/{length} of IPv{version}" for version, length in PREFIX_LENGTH.items())
        raise _wrong(f"expected an address, or a prefix of {lengths}") from None


async def _checked_time(settings: Settings) -> int:
    """The store's time, after the hash keys were compared with the workers': under another secret nothing would be
    found, or erased. Without Redis they can't be compared, which is said, and the time is this machine's."""
    async with table(settings) as opened:
        try:
            await opened.patience.until_available(
                require_same_secrets, settings, opened.secrets, at_most_s=CHECK_PATIENCE_S
            )
            return await opened.patience.until_available(opened.time.now_ms, at_most_s=CHECK_PATIENCE_S)
        except DependencyTimeout as error:
            say(f"whether the hash keys are the workers' could not be checked: {error}")
            return SYSTEM_CLOCK.now_ms()


def _shape_of(text: str, settings: Settings) -> str:
    """The form of the target that the text was probably meant for."""
    if text.startswith("fl_"):
        return "a flag id is fl_ and 24 hexadecimal digits (0-9, a-f)"
    try:
        plain_address(text)
    except ValueError:
        return HELP
    written = "an address is written with its kind, as in address:192.0.2.1"
    return written if settings.abuse.hash_keys else f"{written}; and {_NO_KEYS}"


def _wrong(why: str) -> typer.BadParameter:
    return typer.BadParameter(why, param_hint="TARGET")


def _address_in(prefix: str) -> str:
    """The address of a prefix written with or without its length. Raises ValueError for another length."""
    address, slash, length = prefix.partition("/")
    if slash and length != str(PREFIX_LENGTH[plain_address(address).version]):
        raise ValueError("no prefix that is observed")
    return address
