from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream.bench.child import Child, ChildFailed

ECHO = """
from stream.bench.child import serve

def build(plan):
    if plan.get("broken"):
        raise ValueError("this plan can't be followed")
    def answer(order):
        if order.get("end"):
            raise SystemExit(3)
        return {"plan": plan, "order": order}
    return answer

serve(build)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "echo_child.py").write_text(ECHO)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_plan_then_orders(environment: dict[str, str]) -> None:
    """Child ends with its parent's interest; an end of its own is an error, not a wait."""
    with Child("echo_child", {"a": 1}, environment) as child:
        pid = child.pid
        assert child.answer() == {"ready": True}
        child.order({"b": 2})
        assert child.answer() == {"plan": {"a": 1}, "order": {"b": 2}}
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with Child("echo_child", {}, environment) as child:
        child.answer()
        child.order({"end": True})
        with pytest.raises(ChildFailed, match="code 3"):
            child.answer()


def test_child_that_cannot_start_says_why(environment: dict[str, str]) -> None:
    with (
        Child("echo_child", {"broken": True}, environment) as child,
        pytest.raises(ChildFailed, match="this plan can't be followed"),
    ):
        child.answer()
