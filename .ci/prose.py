"""The check of the prose rules that a program can hold: how docstrings begin, and words that are not the field's.

Run as `python .ci/prose.py` from the root; prints one line a finding and ends with 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("config", "detectors", "abuse", "stream", "deploy", "docs", ".ci", "tests")
#: First words that refer outside the sentence. `What` and `Whether` open a noun clause, but name nothing.
PRONOUNS = frozenset(
    [
        "it",
        "its",
        "that",
        "those",
        "these",
        "this",
        "they",
        "them",
        "their",
        "he",
        "she",
        "his",
        "her",
        "whoever",
        "whatever",
        "whichever",
        "who",
        "whose",
        "whom",
        "what",
        "one",
        "ones",
        "none",
        "nobody",
        "somebody",
        "anybody",
        "everybody",
        "everyone",
        "someone",
        "anyone",
        "nothing",
        "something",
        "anything",
        "everything",
        "others",
        "another",
    ]
)
#: Words of an earlier vocabulary -> the field's term.
REPLACED = {
    r"dossiers?": "subject history",
    r"neighbourhoods?": "reuse result",
    r"whoever": "a noun",
    r"lanes?": "agent",
    r"chores?": "background task",
    r"objections?": "rule hit",
    r"sightings?": "enrolled reference, observation",
    r"face ?prints?": "protected template",
    r"link ?books?": "link store",
    r"rungs?": "service tier",
    r"ladders?": "service tiers",
    r"insists?": "retry until available",
}
#: Published under an earlier word, and read by dashboards.
PUBLISHED = ("liveness_abuse_objections_total",)
_REPLACED = re.compile(r"(?<![A-Za-z])(" + "|".join(REPLACED) + r")(?![A-Za-z])", re.IGNORECASE)


def findings(path: str, source: str) -> Iterator[str]:
    """Breaches of the rules in one Python file, one line each."""
    tree = ast.parse(source)
    if source.strip() and ast.get_docstring(tree) is None and not path.startswith("tests/"):
        yield f"{path}:1: no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            words = re.findall(r"[\w'`]+", ast.get_docstring(node) or "")
            if words and words[0].lower() in PRONOUNS:
                yield f"{path}:{getattr(node, 'lineno', 1)}: a docstring begins with {words[0]!r}, which names nothing"
    for number, line in enumerate(source.splitlines(), start=1):
        for word in _REPLACED.findall(re.sub("|".join(PUBLISHED), "", line)):
            yield f"{path}:{number}: {word!r} is not the field's word: {_instead(word)}"


def _instead(word: str) -> str:
    return next(term for pattern, term in REPLACED.items() if re.fullmatch(pattern, word, re.IGNORECASE))


def main() -> int:
    own = {Path(".ci/prose.py"), Path("tests/unit/test_prose.py")}
    files = (file for folder in FOLDERS for file in sorted(Path(folder).rglob("*.py")) if file not in own)
    found = [line for file in files for line in findings(file.as_posix(), file.read_text())]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
