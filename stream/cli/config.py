"""`liveness config`: the settings as a process here would have them, with secrets as stars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import BaseModel

from config import settings as configuration
from stream.cli.console import JsonOption, out, plain, print_json


def command(json: JsonOption = False) -> None:
    """Show every setting from environment, files and defaults together; secrets as stars. Exit 2 if one is wrong."""
    settings = configuration.load()
    if json:
        print_json(orjson.loads(settings.model_dump_json()))
        return
    for name, value in _variables(settings):
        out.print(plain(f"LIVENESS_{name}={value}"), markup=False)


def _variables(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings that have a value, by the name of their variable, values as a variable would hold them."""
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _variables(value, f"{prefix}{name}__")
        elif value is not None:
            shown = orjson.loads(model.model_dump_json(include={name}))[name]
            yield f"{prefix}{name}".upper(), shown if isinstance(shown, str) else orjson.dumps(shown).decode()
