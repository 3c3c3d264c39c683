"""Dataclasses as JSON, strictly: for bytes that a stranger, a native decoder or an older worker may have written.

A `pydantic.TypeAdapter` of a `StrictJson` dataclass writes every field and reads nothing but these: a missing or
unknown field, a value of another type and a number that isn't finite are errors, and nothing is coerced. Bounds stand
beside each field, as `Annotated` metadata, and hold for what is read, not for what our own code makes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

#: An error of our own, whose words quote nothing that was read.
OWN_WORDS = "own_words"
#: Fields that one refusal names: those of a list can be a hundred.
_MOST_NAMED = 8
_HEX64 = re.compile(r"[0-9a-f]{16}", re.ASCII)


class StrictJson:
    """Base of a dataclass that is read from JSON with all its fields, also those that have a default in Python."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    #: Fields newer than JSON that may still be read, or that an older worker reads: absent for their default.
    __newer_fields__: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        inner: Any = handler.resolve_ref_schema(schema)
        while inner["type"] != "dataclass-args":
            inner = inner["schema"]
        for field in inner["fields"]:
            if field["schema"]["type"] == "default" and field["name"] not in cls.__newer_fields__:
                field["schema"] = field["schema"]["schema"]
        if cls.__newer_fields__:
            inner = handler.resolve_ref_schema(schema)
            inner["serialization"] = core_schema.wrap_serializer_function_ser_schema(cls._without_unused)
        return schema

    @classmethod
    def _without_unused(cls, value: Any, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(value)
        return {name: each for name, each in written.items() if each or name not in cls.__newer_fields__}


class BrokenRule(ValueError):
    """A rule of a dataclass's own `__post_init__` is broken; the words quote nothing that was read."""


class UnknownName(BrokenRule):
    """A name that is in no catalogue of this release; `name` has been checked to be a plain one."""

    def __init__(self, words: str, name: str) -> None:
        super().__init__(words)
        self.name = name


def broken(words: str) -> PydanticCustomError:
    """The error of a rule between fields; its words reach the log, so they quote nothing that was read."""
    return PydanticCustomError(OWN_WORDS, "{words}", {"words": words})


def faults(error: ValidationError, names: Collection[str], whole: str) -> str:
    """The fields at fault, or the rule broken: nothing of what was read. `names` are the fields there are.

    A path ends before its first unknown name, since a stranger may have written this; an empty path is `whole`. Of many
    fields the first few are named.
    """
    items = error.errors(include_input=False, include_url=False)
    found = sorted({_words(item, names) or whole for item in items})
    more = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return ", ".join(found[:_MOST_NAMED] + more)


def _words(item: ErrorDetails, names: Collection[str]) -> str:
    known: list[str] = []
    for part in item["loc"]:
        if isinstance(part, str) and part not in names:
            break
        known.append(str(part))
    cause = item.get("ctx", {}).get("error")
    if item["type"] == OWN_WORDS:
        known.append(item["msg"])
    elif isinstance(cause, BrokenRule):
        known.append(str(cause))
    return ".".join(known)


def _from_hex(text: object) -> int:
    if not isinstance(text, str) or not _HEX64.fullmatch(text):
        raise broken("64 bits are 16 lower-case hex digits")
    return int(text, 16)


#: 64 bits, in JSON as 16 hex digits: a JSON number of this size would be rounded by other readers.
Bits64 = Annotated[
    int, BeforeValidator(_from_hex), PlainSerializer(lambda bits: f"{bits:016x}", return_type=str, when_used="json")
]
