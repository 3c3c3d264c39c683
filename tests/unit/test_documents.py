"""Documents: they agree with the code, links lead somewhere, and commands are run."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import orjson
import pytest
import typer

from config.catalogues.error_codes import MEANING, ErrorCode
from config.secret_files import SECRETS
from config.settings import Settings
from stream.cli import app
from stream.pipeline.verdict.advice import BY_REASON

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not {".venv", ".services", ".git"} & set(path.relative_to(ROOT).parts)
)
#: Where .ci/readme.py looks for blocks to run.
RUN = {path for pattern in ("*.md", "docs/*.md", "deploy/**/*.md", "tests/*.md") for path in ROOT.glob(pattern)}
#: Variables that are no settings of a worker.
OTHER_VARIABLES = {
    *("LIVENESS_CONFIG", "LIVENESS_CACHE_DIR", "LIVENESS_REDIS_SERVER", "LIVENESS_SLOT_STDERR"),
    *("LIVENESS_REQUIRE_REAL", "LIVENESS_TEST_IMAGES", "LIVENESS_TEST_MODELS", "LIVENESS_TEST_ATTACKS"),
    *("LIVENESS_MODEL_MIRROR", "LIVENESS_SECRETS_DIR"),
    *(f"LIVENESS_{group}__{field}_FILE".upper() for group, fields in SECRETS.items() for field in fields),
}
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def test_the_tables_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert tables["main"]() == 0, capsys.readouterr().err


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8"))
    targets = [(document.parent / path if path else document, anchor) for path, anchor in links]
    assert [str(path) for path, _ in targets if not path.exists()] == []
    # Of another folder's documents a link may name a section.
    sections = [(path, anchor) for path, anchor in targets if anchor]
    assert [(path.name, anchor) for path, anchor in sections if anchor not in _anchors(path.resolve())] == []


@each_document
def test_shell_blocks_are_run(document: Path) -> None:
    """`.ci/readme.py` runs blocks marked `run`; others are lines of `.ci/run`, or need something of the reader's."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh(.*)\n((?:.*\n)*?)```$", document.read_text(encoding="utf-8"), re.MULTILINE)
    marks = {" run", " by hand"}
    assert [body for mark, body in blocks if mark not in marks and body.strip() not in ci] == []
    assert document in RUN or not any(mark == " run" for mark, _ in blocks)


@each_document
def test_python_examples_import(document: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    imports = [node for text in examples for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    names = [(node.module or "", alias.name) for node in imports for alias in node.names]
    assert [name for name in names if not hasattr(importlib.import_module(name[0]), name[1])] == []


@each_document
def test_named_settings_exist(document: Path) -> None:
    named = set(re.findall(r"\bLIVENESS_[A-Z0-9_]*[A-Z0-9]\b", document.read_text(encoding="utf-8")))
    assert named - set(_variables()) - OTHER_VARIABLES == set()


@each_document
def test_shown_options_exist(document: Path) -> None:
    shown = re.findall(r"(?:^|`|bin/)liveness ([a-z]+)([^`#\n;&]*)", document.read_text(encoding="utf-8"), re.MULTILINE)
    wrong = [
        f"{command} {option}"
        for command, rest in shown
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)
        if option not in _options(command)
    ]
    assert wrong == []


@pytest.mark.parametrize("document", ["FAULTS.md", "SECURITY.md"])
def test_named_tests_exist(document: str) -> None:
    """Each test that shows what holds when something breaks, or what a thief can do."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / document).read_text(encoding="utf-8"))
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8") or not test, f"{file}::{test}"


def test_every_setting_is_listed() -> None:
    table = _section("docs/CONFIGURATION.md", "settings")
    assert [name for name in _variables() if f"`{name}`" not in table] == []


def test_decision_fields_are_explained() -> None:
    text = (ROOT / "docs" / "DECISIONS.md").read_text(encoding="utf-8")
    schema = orjson.loads((ROOT / "docs" / "schemas" / "decision.v1.json").read_bytes())
    fields = [name for name in schema["properties"] if name != "result"]
    fields += [f"result.{name}" for name in schema["$defs"]["result"]["properties"]]
    assert len(fields) > 20
    assert [field for field in fields if not re.search(rf"`{re.escape(field)}(?:\[\])?`", text)] == []


def test_named_commands_exist() -> None:
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|bin/)liveness ([a-z]+)", document.read_text(encoding="utf-8"))
    }
    assert named - known == set()
    assert known - named == set(), "every command is in a document"


def test_shown_decisions_say_why() -> None:
    """And who decides."""
    shown = [
        words
        for document in DOCUMENTS
        for words in re.findall(
            r"liveness abuse (?:confirm|override|reset|switch|erase) [^`#\n]+", document.read_text(encoding="utf-8")
        )
    ]
    assert len(shown) > 5
    assert [words for words in shown if "--actor" not in words or "--reason" not in words] == []


def test_error_codes_are_explained() -> None:
    assert set(MEANING) == set(ErrorCode)
    assert {code.lower() for code in ErrorCode} <= set(BY_REASON)


def test_every_reason_has_advice() -> None:
    """The reasons of signals and of the framing."""
    given = set()
    for path in [*(ROOT / "detectors" / "signals").glob("*.py"), ROOT / "detectors" / "framing.py"]:
        text = path.read_text(encoding="utf-8")
        given |= set(re.findall(r'weak="([a-z_]+)"|"([a-z_]+)": (?:share|inside|max|brightness)', text))
    reasons = {name for pair in given for name in pair if name}
    assert len(reasons) > 10
    assert reasons <= set(BY_REASON)


@cache
def _anchors(document: Path) -> frozenset[str]:
    """Anchors that a Markdown viewer gives the headings of a document."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def _section(document: str, table: str) -> str:
    text = (ROOT / document).read_text(encoding="utf-8")
    return text.partition(f"<!-- table: {table} -->")[2].partition("<!-- end -->")[0]


def _variables() -> Iterator[str]:
    for group, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {"": field})
        yield from (f"LIVENESS_{group}__{name}".upper() if name else f"LIVENESS_{group}".upper() for name in inner)


@cache
def _options(command: str) -> frozenset[str]:
    """Options of a command and of everything below it."""
    top = typer.main.get_command(app)
    found = top.commands[command]  # type: ignore[attr-defined]
    commands = [found, *getattr(found, "commands", {}).values()]
    return frozenset({"--help"} | {name for each in commands for option in each.params for name in _names(option)})


def _names(option: click.Parameter) -> list[str]:
    return [*option.opts, *option.secondary_opts]
