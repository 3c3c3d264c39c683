"""Reference face: the face of a submission compared with the one of its reference image, in the detect stage.

The reference is one more picture of the job; of its analysis nothing is kept but the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis
from detectors.template.extraction import SWITCHED_OFF
from detectors.template.impostors import ImpostorModel
from detectors.template.port import strangers_as_alike
from stream.events.message.findings import FaceComparison
from stream.events.message.session_terms import FrameContext
from stream.pipeline.capture.best_frame import best_first

#: Reasons why a face can't be compared with the reference.
NO_FACE, SEVERAL_FACES, UNUSABLE = "reference_no_face", "reference_several_faces", "reference_unusable"
REFERENCE_POOR, FACE_POOR = "reference_poor", "face_poor"
#: The installation compares no faces: templates are off, or nobody calibrated the model.
NOT_HERE = "comparison_off"

_ERRORS = {ErrorCode.NO_FACE_DETECTED: NO_FACE, ErrorCode.MULTIPLE_FACES: SEVERAL_FACES}


def compared(
    reference: Analysis, frames: Sequence[Analysis], contexts: Sequence[FrameContext], impostors: ImpostorModel | None
) -> FaceComparison:
    """Comparison of the best frame that has a template with the reference. Takes 0.1 ms; raises nothing."""
    if reference.error is not None:
        return FaceComparison(reason=_ERRORS.get(reference.error, UNUSABLE))
    if impostors is None or reference.template_reason == SWITCHED_OFF:
        return FaceComparison(reason=NOT_HERE)
    if reference.template is None:
        return FaceComparison(reason=REFERENCE_POOR)
    templates = (frames[index].template for index in best_first(frames, contexts))
    face = next((template for template in templates if template is not None), None)
    if face is None:
        return FaceComparison(reason=FACE_POOR)
    try:
        return FaceComparison(strangers=strangers_as_alike(reference.template, face, impostors))
    except ValueError:
        return FaceComparison(reason=NOT_HERE)
