"""Write the reference tables of the README from the code, so that they can't say anything else.

.venv/bin/python docs/tables.py           rewrites the tables between their markers
.venv/bin/python docs/tables.py --check   exit 1 if a table is not what the code says
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.error_codes import MEANING
from config.policy import Policy
from config.settings import Settings
from stream.advice import BY_REASON
from stream.topics import TABLE, TopicSpec

README = Path(__file__).resolve().parent.parent / "README.md"
HOUR_MS = 3_600_000


def settings_table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for path, field in _fields(Settings):
        name = "LIVENESS_" + "__".join(path).upper()
        rows.append(f"| `{name}` | {_default(field)} | {field.description} |")
    return "\n".join(rows)


def policy_table() -> str:
    rows = ["| key | default | what |", "|---|---|---|"]
    for path, field in _fields(Policy):
        rows.append(f"| `{'.'.join(path)}` | {_default(field)} | {field.description or ''} |")
    return "\n".join(rows)


def error_table() -> str:
    rows = ["| code | what happened | what to do |", "|---|---|---|"]
    rows += [f"| `{code}` | {what} | {then} |" for code, (what, then) in MEANING.items()]
    return "\n".join(rows)


def reason_table() -> str:
    rows = ["| reason | advice | what the person is told |", "|---|---|---|"]
    rows += [f"| `{reason}` | `{advice.code}` | {advice.message} |" for reason, advice in BY_REASON.items()]
    return "\n".join(rows)


def topic_table() -> str:
    rows = ["| topic | kept | pictures |", "|---|---|---|"]
    rows += [f"| `{spec.topic}` | {_kept(spec)} | {'yes' if spec.carries_images else 'no'} |" for spec in TABLE]
    return "\n".join(rows)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "policy": policy_table,
    "errors": error_table,
    "reasons": reason_table,
    "topics": topic_table,
}


def with_tables(text: str) -> str:
    """The document with the part between `<!-- table: NAME -->` and `<!-- end -->` written anew."""

    def renewed(match: re.Match[str]) -> str:
        return f"<!-- table: {match['name']} -->\n{TABLES[match['name']]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (?P<name>\w+) -->.*?<!-- end -->", renewed, text, flags=re.DOTALL)


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, (*path, name))
        else:
            yield (*path, name), field


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "one a core"
    value = field.default
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return "" if value in (None, "") else f"`{value}`"


def _kept(spec: TopicSpec) -> str:
    hours = spec.retention_ms // HOUR_MS
    return "for ever" if spec.retention_ms < 0 else f"{hours} h" if hours < 48 else f"{hours // 24} d"


def main() -> int:
    current = README.read_text(encoding="utf-8")
    wanted = with_tables(current)
    if "--check" in sys.argv[1:]:
        if current != wanted:
            print("README.md: a table is not what the code says; run: .venv/bin/python docs/tables.py", file=sys.stderr)
        return int(current != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
