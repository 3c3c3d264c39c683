"""Linear algebra in a worker's own process takes one thread, unless the operator says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MAKE_A_MATRIX = """
import os, stream
from abuse.faces.template_protection import rotation
rotation(b"seed", 128)
print(os.environ["OPENBLAS_NUM_THREADS"], len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
@pytest.mark.parametrize("set_by_operator", [None, "2"])
def test_matrices_take_one_thread(set_by_operator):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if set_by_operator is not None:
        environment["OPENBLAS_NUM_THREADS"] = set_by_operator
    command = [sys.executable, "-c", MAKE_A_MATRIX]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    value, threads = done.stdout.split()
    assert (value, int(threads) == 1) == ("1", True) if set_by_operator is None else (set_by_operator, False)
