"""Values of an assessment of active liveness: the frames that go in, and the answer that comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.catalogues.challenges import Challenge, FrameChallenge
from detectors.active.reasons import REASONS, ReasonKind
from detectors.contract_measures import FrameMeasures


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessedFrame:
    """Frame of a capture as the assessment sees it.

    `challenge` is what the client says the frame answers, `at_ms` milliseconds since the capture began, `colour` the
    index of the light challenge's colour that was shown. `measures` are None for a frame without a face.
    `face_distance` is the distance between the face templates of this frame and the first one, as a share of the
    distance up to which the model takes two templates for one person's (`TemplateSpec.genuine_threshold`); None where
    they were not compared. `pixels` is a digest of the frame's pixels, equal for equal frames of one capture.
    """

    challenge: FrameChallenge = "neutral"
    at_ms: int | None = None
    colour: int | None = None
    measures: FrameMeasures | None = field(default=None, repr=False)
    face_distance: float | None = field(default=None, repr=False)
    pixels: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAssessment:
    """Assessment of a capture.

    Scores are 0 to 100, higher is more live; the two variation scores are None where nothing of theirs was asked for.
    `challenges_completed` is in the session's order, `reasons` in that of `REASONS`.
    """

    score: int
    pose_variation_score: int | None
    expression_variation_score: int | None
    challenges_completed: tuple[Challenge, ...]
    reasons: tuple[str, ...]

    @property
    def environment_not_supported(self) -> bool:
        """Whether the surroundings alone kept the check from an answer: no attempt is spent then."""
        kinds = {REASONS[code].kind for code in self.reasons}
        return ReasonKind.ENVIRONMENT in kinds and ReasonKind.ATTACK not in kinds
