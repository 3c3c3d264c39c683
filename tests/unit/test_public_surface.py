"""The public surface is what it was before the rooms moved, but for two measurements that are developers' now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.public_surface import surface

BEFORE = json.loads(Path(__file__).with_name("public_surface.json").read_text())
#: Options that left `liveness bench` on purpose: `tests/bench` measures the abuse table and the indexes.
GONE = {"--abuse", "--faces", "--photographs", "--ids", "--kept"}


@pytest.mark.parametrize("part", ["settings", "policy", "policy_sha256", "topics", "schemas"])
def test_part_is_unchanged(part):
    assert surface()[part] == BEFORE[part]


def test_commands_keep_their_options():
    now = surface()["commands"]
    missing = {
        name: sorted(set(BEFORE["commands"][name]) - set(now.get(name, [])) - GONE) for name in BEFORE["commands"]
    }
    assert {name: options for name, options in missing.items() if options} == {}
