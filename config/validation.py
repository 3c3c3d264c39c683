"""Words for a pydantic ValidationError, which quote no value."""

from __future__ import annotations

import re

from pydantic import ValidationError

_NAMES_A_FIELD = re.compile(r"[a-z]+(_[a-z]+)*: ")


def mistakes(error: ValidationError, root: str, prefix: str = "") -> str:
    """Every mistake with its field, for the operator who wrote the document: `field: what is wrong; ...`.

    `root` stands for the document as a whole, `prefix` before each field.
    """
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        what = "is not a setting" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        where = ".".join(map(str, item["loc"]))
        # The check of a whole group names the field itself.
        mark = "." if where and _NAMES_A_FIELD.match(what) else ": "
        lines.append(f"{prefix}{where or root}{mark}{what}")
    return "; ".join(lines)


def fields_at_fault(error: ValidationError, depth: int | None = None) -> list[str]:
    """Names of the fields at fault, sorted, for messages about a stranger's document.

    An unknown field is named by the field it stands in only, since its name is the stranger's own; `depth` 1 leaves out
    names further in for the same reason. A mistake of the whole document is told in the validator's words.
    """
    names = set()
    for item in error.errors(include_input=False, include_url=False):
        unknown = item["type"] == "extra_forbidden"
        path = item["loc"][:-1] if unknown else item["loc"]
        whole = "an unknown field" if unknown else item["msg"].removeprefix("Value error, ")
        names.add(".".join(map(str, path[:depth])) or whole)
    return sorted(names)
