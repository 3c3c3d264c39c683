"""The documents say what the code says, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.error_codes import MEANING, ErrorCode
from stream.cli import app
from stream.pipeline.advice import BY_REASON

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not {".venv", ".services", ".git"} & set(path.relative_to(ROOT).parts)
)


def test_the_tables_of_the_readme_are_current() -> None:
    checked = subprocess.run([sys.executable, ROOT / "docs" / "tables.py", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_commands_that_the_documents_name_exist() -> None:
    known = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|bin/)liveness ([a-z]+)", document.read_text(encoding="utf-8"))
    }
    assert named - known == set()
    assert known - named == set(), "every command is in a document"


def test_the_decisions_that_the_documents_show_say_who_and_why() -> None:
    shown = [
        words
        for document in DOCUMENTS
        for words in re.findall(
            r"liveness abuse (?:confirm|override|reset|switch|erase) [^`#\n]+", document.read_text(encoding="utf-8")
        )
    ]
    assert len(shown) > 5
    assert [words for words in shown if "--actor" not in words or "--reason" not in words] == []


def test_every_error_code_has_a_meaning_and_advice() -> None:
    assert set(MEANING) == set(ErrorCode)
    assert {code.lower() for code in ErrorCode} <= set(BY_REASON)


def test_every_reason_that_a_signal_or_the_framing_gives_has_advice() -> None:
    given = set()
    for path in [*(ROOT / "detectors" / "signals").glob("*.py"), ROOT / "detectors" / "framing.py"]:
        text = path.read_text(encoding="utf-8")
        given |= set(re.findall(r'weak="([a-z_]+)"|"([a-z_]+)": (?:share|inside|max|brightness)', text))
    reasons = {name for pair in given for name in pair if name}
    assert len(reasons) > 10
    assert reasons <= set(BY_REASON)
