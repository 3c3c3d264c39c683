"""HTML report of an evaluation: one page that needs no other file, runs nothing and holds no picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from stream.evaluation.plots import det_plot, score_plot
from stream.evaluation.words import CAUTION, headline, printable, tables

#: Whatever a file's name holds, a browser loads and runs nothing of it.
_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: On a narrow screen tables and plots keep their size and scroll by themselves; colours follow the reader's scheme.
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:80em;padding:0 1em;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;margin:.5em 0 2em}"
    "th,td{text-align:left;vertical-align:top;padding:.25em .8em;border-bottom:1px solid #8886;white-space:nowrap}"
    ".long{white-space:normal;min-width:24em}.wide{overflow-x:auto}"
)
#: Characters from which a cell is broken into lines, more than an error rate with interval and counts has.
_LONG = 48


def page(evaluated: Mapping[str, Any]) -> str:
    """Report as one HTML document; text out of the picture set is escaped, and unprintable characters are replaced."""
    title = f"Attack detection on {evaluated['set']}"
    body = [f"<h1>{_safe(title)}</h1>", *(f"<p>{_safe(line)}</p>" for line in headline(evaluated))]
    for heading, plot in (("DET plot", det_plot(evaluated)), ("Confidences", score_plot(evaluated))):
        body += [f"<h2>{heading}</h2>", f'<div class="wide">{plot}</div>'] if plot else []
    body += [_table(*table) for table in tables(evaluated)]
    body += [f"<p>{_safe(CAUTION)}</p>", f"<p>{_safe(_made_by(evaluated))}</p>"]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">'
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_safe(column)}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<h2>{_safe(title)}</h2><div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _cell(text: str) -> str:
    kind = ' class="long"' if len(text) >= _LONG else ""
    return f"<td{kind}>{_safe(text)}</td>"


def _made_by(evaluated: Mapping[str, Any]) -> str:
    models = ", ".join(f"{model['name']} {model['version']} ({model['sha256'][:12]})" for model in evaluated["models"])
    return f"Liveness Stream {evaluated['version']}, policy {evaluated['policy']['hash']}, models: {models or 'none'}"


def _safe(text: str) -> str:
    return escape(printable(text))
