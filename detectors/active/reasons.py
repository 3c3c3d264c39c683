"""Reasons why an active liveness check lowers its score: every code with its kind and words, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ReasonKind(StrEnum):
    """Kind of a reason: what an attack shows, what is missing, or a surrounding that the check doesn't work in."""

    ATTACK = "attack"
    MISSING = "missing"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class ActiveReason:
    """Reason of an active liveness check: its kind, and words for people."""

    kind: ReasonKind
    words: str

    @property
    def most(self) -> int:
        """Highest score beside this reason: an attack is below 50 ("likely spoofed"), all others below 75, where the
        default threshold passes."""
        return 49 if self.kind is ReasonKind.ATTACK else 74


_A, _M, _E = ReasonKind.ATTACK, ReasonKind.MISSING, ReasonKind.ENVIRONMENT

#: In the order in which an assessment names them.
REASONS: Mapping[str, ActiveReason] = MappingProxyType(
    {
        "frames_not_in_time_order": ActiveReason(_A, "The frames are not in the order of their times"),
        "frozen_frames": ActiveReason(_A, "All frames show one and the same picture"),
        "repeated_frames": ActiveReason(_A, "A frame comes again as another one"),
        "different_face_between_frames": ActiveReason(_A, "The frames show different people"),
        "wrong_challenge_order": ActiveReason(_A, "The movements were not made in the order asked for"),
        "flat_surface": ActiveReason(_A, "The face turned as a flat picture does"),
        "background_moves_with_face": ActiveReason(_A, "What is around the face turned together with the face"),
        "light_not_followed": ActiveReason(_A, "The light on the face did not follow the colours of the screen"),
        "light_too_late": ActiveReason(_A, "The light on the face came later than the colours of the screen"),
        "light_pattern_flat": ActiveReason(_A, "The screen's light fell as on a flat picture"),
        "ambient_light_too_strong": ActiveReason(_E, "The surroundings are too bright for the screen's light"),
        "no_neutral_frame": ActiveReason(_M, "No frame shows the face at rest"),
        "frame_without_face": ActiveReason(_M, "A frame shows no face that could be analysed"),
        "too_few_measures": ActiveReason(_M, "Too few frames could be measured and compared"),
        "challenge_missing": ActiveReason(_M, "A movement that was asked for was not seen"),
    }
)


def in_order(found: set[str]) -> tuple[str, ...]:
    """Codes in the order of the table."""
    return tuple(code for code in REASONS if code in found)
