"""The public surface as plain data: commands with their options, settings, policy, topics, JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel

from config.policy import Policy
from config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def surface() -> dict[str, Any]:
    """The public surface: names that users, publishers and consumers rely on, as JSON types."""
    from stream.cli import app

    try:
        from stream.events.topics import TABLE
    except ImportError:
        from stream.topics import TABLE
    return json.loads(
        json.dumps(
            {
                "commands": _commands(typer.main.get_command(app)),
                "settings": _fields(Settings),
                "policy": _fields(Policy),
                "policy_sha256": Policy().sha256,
                "topics": [[str(s.topic), s.retention_ms, s.carries_images, s.biometric] for s in TABLE],
                "schemas": {p.name: json.loads(p.read_text()) for p in sorted((ROOT / "docs/schemas").glob("*.json"))},
            },
            default=str,
        )
    )


def _commands(command: Any, path: str = "liveness") -> dict[str, list[str]]:
    found = {path: sorted("/".join(p.opts + p.secondary_opts) for p in command.params)}
    for name, child in getattr(command, "commands", {}).items():
        found |= _commands(child, f"{path} {name}")
    return found


def _fields(model: type[BaseModel], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _fields(kind, f"{path}{name}.")
        else:
            found[path + name] = repr(field.default) if field.default_factory is None else "factory"
    return found
