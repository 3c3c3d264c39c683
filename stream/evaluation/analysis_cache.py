"""Cache of analyses, so that an evaluation that was interrupted goes on where it stopped, and a second one is quick.

One JSON line an analysis, found by the picture's hash and by `analyser_key`: policy, models and code that shape an
analysis. A line that can't be read (a run that was killed while writing) is passed over and made anew. No pixels, no
face templates.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import orjson

import detectors
from config.policy import Policy
from detectors import analysis_codec
from detectors.contract import Analysis, ModelVersion
from stream.runtime.release import code_digest

#: Fields of a policy that judge an analysis, or concern what an evaluation has no part in; all others shape it.
_NOT_IN_AN_ANALYSIS = {
    "name",
    "inconclusive_band",
    "weights",
    "pad_networks",
    "gates",
    "template",
    "deadlines",
    "abuse",
    "provenance",
}


def analyser_key(policy: Policy, models: Iterable[ModelVersion]) -> str:
    """Hash of all that shapes an analysis besides the picture: policies that only judge differently have one key."""
    shaping = policy.model_dump(mode="json", exclude=_NOT_IN_AN_ANALYSIS)
    shaping["parameters"].pop("live_threshold")
    parts = [version("liveness-stream"), _code(), shaping, policy.signals, sorted(model.sha256 for model in models)]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


@cache
def _code() -> str:
    """Hash of the detectors' files: a changed signal reads every picture again."""
    return code_digest(Path(detectors.__file__).parent, suffixes=(".py", ".toml"))


class AnalysisCache:
    """Cache of the analyses of one analyser, in one file that may hold those of others too."""

    def __init__(self, path: Path, key: str) -> None:
        """File opened for appending, made if need be. Raises OSError."""
        self._key = key
        self._kept: dict[str, bytes] = {}
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b")
        self._file.seek(0)
        line = b"\n"
        for line in self._file:
            self._keep(line)
        if not line.endswith(b"\n"):
            self._file.write(b"\n")

    def get(self, picture_sha256: str) -> Analysis | None:
        encoded = self._kept.get(picture_sha256)
        try:
            return None if encoded is None else analysis_codec.decode(encoded)
        except analysis_codec.MalformedAnalysis:
            return None

    def put(self, picture_sha256: str, analysis: Analysis) -> None:
        """Analysis written at once, so that an interruption loses nothing that was measured."""
        line = {"analyser": self._key, "picture": picture_sha256}
        encoded = analysis_codec.encode(analysis)
        self._file.write(orjson.dumps(line)[:-1] + b',"analysis":' + encoded + b"}\n")
        self._file.flush()
        self._kept[picture_sha256] = encoded

    def close(self) -> None:
        self._file.close()

    def _keep(self, line: bytes) -> None:
        try:
            read = orjson.loads(line)
            if read["analyser"] == self._key:
                self._kept[str(read["picture"])] = orjson.dumps(read["analysis"])
        except (ValueError, KeyError, TypeError):
            return
