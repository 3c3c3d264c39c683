"""Errors that end a command: one line on stderr and an exit code; any other error keeps its traceback."""

from __future__ import annotations

import pytest

from config.errors import SettingsError
from stream import cli
from stream.bench.child import ChildFailed
from stream.bench.measurement import Unmeasurable
from stream.embedded.session import WorkerDidNotStart
from stream.embedded.store import StoreDidNotStart
from stream.runtime.patience import DependencyTimeout


def ended(monkeypatch: pytest.MonkeyPatch, error: Exception) -> object:
    def app() -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as ending:
        cli.main()
    return ending.value.code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (SettingsError, 2),
        *((kind, 1) for kind in (WorkerDidNotStart, StoreDidNotStart, ChildFailed, Unmeasurable)),
        (DependencyTimeout, 3),
    ],
)
def test_expected_error(monkeypatch, capsys, kind, code):
    assert ended(monkeypatch, kind("why it ended")) == code
    assert capsys.readouterr().err.splitlines() == ["error: why it ended"]


def test_bug_keeps_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        ended(monkeypatch, ZeroDivisionError())
