"""Evaluation as text for people: error rates for each species and source, signals, worst pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.console import out, plain
from stream.evaluation.comparison import comparison_headline, comparison_tables
from stream.evaluation.proposal import proposal_headline, proposal_tables
from stream.evaluation.words import CAUTION, WordTable, headline, tables

#: Columns of a table that no terminal limits.
WIDTH_IN_A_FILE = 200


def show(evaluated: dict[str, Any]) -> None:
    """Document of an evaluation printed."""
    _print(headline(evaluated), tables(evaluated))


def show_comparison(compared: dict[str, Any]) -> None:
    """Document of a comparison printed."""
    _print(comparison_headline(compared), comparison_tables(compared))


def show_proposal(proposed: dict[str, Any]) -> None:
    """Document of a calibration's proposal printed."""
    _print(proposal_headline(proposed), proposal_tables(proposed))


def _print(lines: Iterable[str], shown: Iterable[WordTable]) -> None:
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
