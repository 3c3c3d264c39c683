"""Attempts of a slot that was taken over: each refused inside, each a success outside, and each layer by itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from detectors.pool import AnalyserRefused, Confinement, Layer, launcher
from detectors.pool.confinement import landlock
from tests.unit.detectors.pool import attempts
from tests.unit.detectors.pool.attempts import ATTEMPTS, Descriptors, Rights, Taken, Target
from tests.unit.detectors.pool.conftest import MakePool
from tests.unit.detectors.pool.fakes import one

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

#: Refusals: of a right, of one more file, of a thread, of a higher limit.
WORDS = {"can't start new thread", "not allowed to raise maximum limit"}
REFUSED = {"EPERM", "EACCES", "EMFILE", *WORDS}
READING = {"read secret", "read users", "list folder", "read environment", "read memory"}
WRITING = {"write new", "write here", "append", "write much", "unlink", "rename", "make folder"}
#: Attempts that each layer refuses by itself, and with which errors; Landlock's since which version of the interface.
ALONE = {
    ("landlock",): (
        {"EACCES", "EPERM"},
        WRITING | READING | {"execute", "replace itself", "read memory directly", "trace"},
    ),
    ("seccomp",): ({"EPERM", *WORDS}, {*ATTEMPTS} - READING - {"open many"}),
    ("capabilities",): ({"EPERM"}, {"join a namespace", "bpf"}),
    ("limits",): ({"EFBIG", "EMFILE"}, {"write new", "append", "write much", "open many"}),
    ("nobody", "processes"): ({"EAGAIN", *WORDS}, {"fork", "execute", "start thread"}),
}
SINCE = {4: {"connect", "listen"}, 6: {"connect abstract", "send signal", "send signal to parent"}}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("target")
    folder.chmod(0o777)
    for name in ("secret", "victim", "doomed"):
        (folder / name).write_bytes(b"personal")
    name = f"attempts-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as victim,
    ):
        assert victim.stdin is not None
        assert victim.stdout is not None
        victim.stdin.write(b"1")
        victim.stdout.read(1)  # its program is mapped
        abstract.bind(f"\0{name}")
        abstract.listen()
        address = int(Path(f"/proc/{victim.pid}/maps").read_text().partition("-")[0], 16)
        yield Target(str(folder), victim.pid, address, server.getsockname()[1], name)
        victim.kill()


def outcomes(target: Target, *behind: str) -> dict[str, str]:
    """Outcome of each attempt outside a slot, behind these layers alone."""
    command = [sys.executable, "-m", attempts.__name__, json.dumps(asdict(target)), *behind]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60, cwd=target.folder)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def outside(target: Target) -> dict[str, str]:
    return outcomes(target)


async def test_slot_is_a_jail(make_pool: MakePool, target: Target, outside: dict[str, str]) -> None:
    """The counter-proof, that an attempt works outside, may need root."""
    pool = await make_pool(Taken, (target,))
    missing = pool.missing_layers
    inside = {name: (await one(pool, name.encode())).message for name in ATTEMPTS}
    kept = READING if Layer.LANDLOCK in missing else set()
    if Layer.SECCOMP in missing:
        pytest.skip(missing[Layer.SECCOMP])
    assert {name: said for name, said in inside.items() if said not in REFUSED and name not in kept} == {}
    assert {name for name, said in outside.items() if said != "done"} <= ({*ATTEMPTS} if os.getuid() else set())
    assert pool.stats().restarts == {}


@pytest.mark.parametrize("behind", ALONE, ids="-".join)
def test_layers_refuse_alone(target: Target, outside: dict[str, str], behind: tuple[str, ...]) -> None:
    if os.getuid() and behind[0] in ("nobody", "capabilities"):
        pytest.skip("only root has something to give up")
    errors, attempted = ALONE[behind]
    if behind == ("landlock",):
        try:
            known = landlock.version()
        except landlock.LayerMissing as missing:
            pytest.skip(str(missing))
        attempted = attempted.union(*(names for since, names in SINCE.items() if since <= known))
    possible = {name for name in attempted if outside[name] == "done"}
    found = outcomes(target, *behind)
    assert {name: found[name] for name in possible if found[name] not in errors} == {}
    assert possible


async def test_slot_holds_its_own_files_only(make_pool: MakePool) -> None:
    """A pipe, which was the fork server's input and has ended; the others are for output, answers and pictures."""
    pool = await make_pool(Descriptors, slots=2)
    for _ in range(2):
        answer = await one(pool, b"picture")
        assert answer.message == "/dev/null /dev/null /memfd:liveness-image pipe socket"


async def test_slot_has_no_rights(make_pool: MakePool) -> None:
    answer = await one(await make_pool(Rights), b"picture")
    assert answer.message == "[(0, 0), (256, 256), (0, 0), (0, 0)] [0, 0, 0]"


@pytest.mark.parametrize("confinement", Confinement)
async def test_missing_layers_are_said(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, confinement) -> None:
    """A fork server on a machine that has no filter."""
    boot = "import platform; platform.machine = lambda: 's390x'; "
    monkeypatch.setattr("detectors.pool.launcher._BOOT", boot + launcher._BOOT)
    if confinement is Confinement.REQUIRE:
        with pytest.raises(AnalyserRefused, match="seccomp: no filter for linux on s390x"):
            await make_pool(confinement=confinement)
        return
    pool = await make_pool(confinement=confinement)
    expected = {Layer.SECCOMP} if confinement is Confinement.WARN else {*Layer}
    assert expected <= {*pool.missing_layers}
    assert (await one(pool, b"echo on")).message == "on"
