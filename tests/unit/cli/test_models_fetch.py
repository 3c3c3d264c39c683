"""`liveness models fetch`: mirror and home, broken-off downloads, wrong files, conditions."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.catalogues.pad_networks import SHIPPED, SPECIES
from detectors.onnx import fetching
from stream import cli
from stream.cli.models import fetch

CONTENTS = bytes(range(256)) * 4096
RESTRICTED = next(network for network in SHIPPED if network.opt_in)


@dataclass
class Home:
    """Home of one file, which may break off, forget how to resume, or hold another file."""

    address: str = ""
    contents: bytes = CONTENTS
    break_at: int | None = None
    resumes: bool = True
    status: int | None = 200
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def home() -> Iterator[Home]:
    state = Home()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.status != 200:
                if state.status:
                    self.send_error(state.status)
                return
            start = int(re.findall(r"\d+", wanted)[0]) if wanted and state.resumes else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.contents) - start))
            self.end_headers()
            self.wfile.write(state.contents[start : state.break_at])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}/network.onnx"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def one_network(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Place of the only shipped network's file; beside that network stands one with conditions."""
    sha256 = hashlib.sha256(CONTENTS).hexdigest()
    network = replace(SHIPPED[0], name="free", file="network.onnx", sha256=sha256, home=home.address)
    bound = replace(network, name="bound", file="bound.onnx", opt_in=RESTRICTED.opt_in)
    monkeypatch.setattr(fetch, "SHIPPED", (network, bound))
    monkeypatch.setenv("LIVENESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models" / "network.onnx"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["models", "fetch", *words])


def test_from_home_once(one_network: Path, home: Home) -> None:
    result = run("--json")
    assert result.exit_code == 0, result.output
    assert one_network.read_bytes() == CONTENTS
    (told,) = orjson.loads(result.stdout_bytes)["networks"]
    assert (told["ready"], set(told["auc"])) == (True, set(SPECIES))
    assert run().exit_code == 0
    assert home.asked == [None], "a file that is there is left alone"


@pytest.mark.parametrize("resumes", [True, False])
def test_broken_off_download_is_completed(one_network: Path, home: Home, resumes: bool) -> None:
    home.break_at = 300_000
    assert run().exit_code == 1
    assert not one_network.exists()
    home.break_at, home.resumes = None, resumes
    result = run()
    assert result.exit_code == 0, result.output
    assert one_network.read_bytes() == CONTENTS
    assert home.asked[-1] == "bytes=300000-"
    assert [each.name for each in one_network.parent.iterdir()] == ["network.onnx"]


def test_wrong_file_is_not_kept(one_network: Path, home: Home) -> None:
    home.contents = b"another network"
    result = run()
    assert (result.exit_code, "another SHA-256" in result.output) == (1, True)
    assert list(one_network.parent.iterdir()) == []
    home.contents = CONTENTS
    assert run().exit_code == 0


def test_flood_is_bounded(one_network: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_FETCHED_BYTES", 300_000)
    result = run()
    assert (result.exit_code, "more than 300000 bytes" in result.output) == (1, True)
    assert not one_network.exists()


@pytest.mark.parametrize(("status", "words"), [(404, "answers 404"), (None, "can't be reached")])
def test_home_that_gives_nothing(home: Home, status: int | None, words: str) -> None:
    home.status = status
    result = run()
    assert (result.exit_code, words in result.output, "given without" in result.output) == (1, True, True)


@pytest.mark.parametrize(
    ("contents", "code", "words"), [(CONTENTS, 0, "fetched"), (b"other", 1, "another SHA-256"), (None, 1, "not there")]
)
def test_from_mirror(
    one_network: Path,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contents: bytes | None,
    code: int,
    words: str,
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    if contents is not None:
        (mirror / "network.onnx").write_bytes(contents)
    monkeypatch.setenv("LIVENESS_MODEL_MIRROR", str(mirror))
    result = run()
    assert (result.exit_code, words in result.output) == (code, True), result.output
    assert one_network.exists() is (code == 0)
    assert home.asked == []


def test_conditions_are_accepted_by_name(one_network: Path) -> None:
    result = run("bound")
    assert (result.exit_code, "non-commercial research" in result.output) == (1, True)
    assert not (one_network.parent / "bound.onnx").exists()
    assert run("bound", "--accept").exit_code == 0
    assert (one_network.parent / "bound.onnx").read_bytes() == CONTENTS


def test_unknown_network() -> None:
    assert run("palm").exit_code == 2
