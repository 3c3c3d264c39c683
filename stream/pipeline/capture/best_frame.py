"""Best frame of a submission, by what an analysis says of a picture's quality. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from config.catalogues.challenges import NEUTRAL
from detectors.contract import Analysis
from stream.events.message.session_terms import FrameContext

#: Signals of a picture's quality: sharp, frontal (symmetry falls with every degree, the pose's score only from 35 on),
#: eyes open.
_QUALITY = ("sharpness", "head_pose", "facial_symmetry", "eye_aspect_ratio")
#: Notes of framing on pose, exposure and place of the face.
_MISSED = frozenset(
    {
        *("face_too_small", "face_too_large", "face_cut_off", "rotation_over_limit"),
        *("too_dark", "too_bright", "uneven_light"),
    }
)


def best_first(analyses: Sequence[Analysis], contexts: Sequence[FrameContext]) -> list[int]:
    """Indexes of the frames with a face, the best first: those at rest before those that answer a challenge, then by
    image requirements missed, then by the product of the signals of quality; of equals the earliest."""
    usable = [index for index, analysis in enumerate(analyses) if analysis.error is None and analysis.face_detected]

    def rank(index: int) -> tuple[bool, int, float]:
        analysis = analyses[index]
        answers = bool(contexts) and contexts[index].challenge != NEUTRAL
        return answers, len(_MISSED.intersection(analysis.notes)), -_quality(analysis)

    return sorted(usable, key=rank)


def _quality(analysis: Analysis) -> float:
    """Quality from 0 to 1; a signal that is missing counts 0."""
    liveness = {reading.name: reading.liveness for reading in analysis.readings}
    return prod(liveness.get(name, 0.0) for name in _QUALITY)
