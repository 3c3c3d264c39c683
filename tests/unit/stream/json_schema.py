"""JSON Schema 2020-12 as far as the published schemas use it; an unknown keyword is an error, not a pass."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

SCHEMAS = Path(__file__).resolve().parents[3] / "docs/schemas"
DECISION_SCHEMA = orjson.loads((SCHEMAS / "decision.v1.json").read_bytes())
SESSION_SCHEMA = orjson.loads((SCHEMAS / "session.v1.json").read_bytes())
REFUSAL_SCHEMA = orjson.loads((SCHEMAS / "session-refusal.v1.json").read_bytes())
PART_SCHEMA = orjson.loads((SCHEMAS / "detection-part.v1.json").read_bytes())
FLAG_SCHEMA = orjson.loads((SCHEMAS / "abuse-flag.v1.json").read_bytes())

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}
_WORDS_ONLY = {"$schema", "$id", "$defs", "title", "description"}


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """Places where the value breaks the schema, and how; empty for a valid one."""
    return list(_violations(value, schema, root or schema, at))


def changed(document: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """Copy of a document with the value at a path replaced, or removed for `...`."""
    target: Any = (made := copy.deepcopy(document))
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return made


def _violations(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    for keyword, rule in schema.items():
        if keyword in _WORDS_ONLY:
            continue
        if keyword == "$ref":
            yield from _violations(value, root["$defs"][rule.removeprefix("#/$defs/")], root, at)
        elif keyword == "oneOf":
            if sum(not violations(value, branch, root, at) for branch in rule) != 1:
                yield f"{at}: not exactly one of the alternatives"
        elif keyword == "additionalProperties":
            yield from _additional(value, schema, root, at)
        elif keyword in ("properties", "items"):
            for name, child, rules in _children(value, keyword, rule):
                yield from _violations(child, rules, root, f"{at}.{name}")
        elif not _CHECKS[keyword](value, rule):
            yield f"{at}: {keyword}"


def _children(value: Any, keyword: str, rule: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    if keyword == "properties" and isinstance(value, dict):
        yield from ((name, value[name], rules) for name, rules in rule.items() if name in value)
    elif keyword == "items" and isinstance(value, list):
        yield from ((str(number), child, rule) for number, child in enumerate(value))


def _additional(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    rule = schema["additionalProperties"]
    for name in value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ():
        if rule is False:
            yield f"{at}.{name}: not in the schema"
        else:
            yield from _violations(value[name], rule, root, f"{at}.{name}")


def _has_type(value: Any, names: str | list[str]) -> bool:
    for name in [names] if isinstance(names, str) else names:
        if isinstance(value, bool):
            if name == "boolean":
                return True
        elif isinstance(value, _TYPES[name]):
            return True
    return False


_CHECKS = {
    "type": _has_type,
    "enum": lambda value, rule: value in rule,
    "const": lambda value, rule: value == rule and type(value) is type(rule),
    "pattern": lambda value, rule: not isinstance(value, str) or re.search(rule, value) is not None,
    "minLength": lambda value, rule: not isinstance(value, str) or len(value) >= rule,
    "maxLength": lambda value, rule: not isinstance(value, str) or len(value) <= rule,
    "minItems": lambda value, rule: not isinstance(value, list) or len(value) >= rule,
    "maxItems": lambda value, rule: not isinstance(value, list) or len(value) <= rule,
    "minimum": lambda value, rule: not isinstance(value, int | float) or value >= rule,
    "maximum": lambda value, rule: not isinstance(value, int | float) or value <= rule,
    "required": lambda value, rule: not isinstance(value, dict) or value.keys() >= set(rule),
}
