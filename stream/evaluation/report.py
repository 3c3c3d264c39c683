"""HTML report of an evaluation: one page that needs no other file, runs nothing and holds no picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from stream.evaluation.plots import det_plot, score_plot
from stream.evaluation.words import CAUTION, headline, printable, tables

#: Whatever a file's name holds, a browser loads and runs nothing of it.
_CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0 2em}"
    "th,td{text-align:left;padding:.25em .8em;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
    ".wide{overflow-x:auto}svg{max-width:100%;height:auto}"
)


def page(evaluated: Mapping[str, Any]) -> str:
    """Report as one HTML document; text out of the picture set is escaped, and unprintable characters are replaced."""
    title = f"Attack detection on {evaluated['set']}"
    body = [f"<h1>{_safe(title)}</h1>", *(f"<p>{_safe(line)}</p>" for line in headline(evaluated))]
    for heading, plot in (("DET plot", det_plot(evaluated)), ("Confidences", score_plot(evaluated))):
        body += [f"<h2>{heading}</h2>", plot] if plot else []
    body += [_table(*table) for table in tables(evaluated)]
    body += [f"<p>{_safe(CAUTION)}</p>", f"<p>{_safe(_made_by(evaluated))}</p>"]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">'
        f"<title>{_safe(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_safe(column)}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<h2>{_safe(title)}</h2><div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _made_by(evaluated: Mapping[str, Any]) -> str:
    models = ", ".join(f"{model['name']} {model['version']} ({model['sha256'][:12]})" for model in evaluated["models"])
    return f"Liveness Stream {evaluated['version']}, policy {evaluated['policy']['hash']}, models: {models or 'none'}"


def _safe(text: str) -> str:
    return escape(printable(text))
