"""An analyser factory that builds the real analyser of a slot and reports which libraries the slot has imported."""

from __future__ import annotations

import pkgutil
import sys
from typing import Any

from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis


class ImportReport:
    """Builds the analyser that `factory` names; each analysis carries the top-level modules of its process."""

    def __init__(self, factory: str, args: tuple[Any, ...]) -> None:
        pkgutil.resolve_name(factory)(*args)

    def analyse(self, image: memoryview, /, *, measured: bool = False, rest: object = None) -> Analysis:
        names = {name.partition(".")[0] for name in sys.modules}
        watched = {"stream", "faust", "mode", "aiokafka", "redis", "aiohttp", "cv2", "mediapipe"}
        return Analysis(error=ErrorCode.INFERENCE_ERROR, message=",".join(sorted(names & watched)))
