"""Evaluation as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.console import out, plain
from stream.evaluation.words import CAUTION, WordTable

#: Columns of a table that no terminal limits.
WIDTH_IN_A_FILE = 200


def show(lines: Iterable[str], shown: Iterable[WordTable]) -> None:
    """Headline and tables of an evaluation, a comparison or a proposal printed."""
    console = out if out.is_terminal else Console(highlight=False, width=WIDTH_IN_A_FILE)
    for line in lines:
        console.print(Text(plain(line)), soft_wrap=True)
    for title, columns, rows in shown:
        console.print()
        console.print(_table(title, columns, rows))
    console.print(Text(CAUTION), soft_wrap=True)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, box=None, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(plain(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
