"""Limits of active liveness: movements, flatness, copied frames and the light challenge."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from config.limits.frozen import Frozen, Share


class MovementLimits(Frozen):
    """Limits of a movement: where the movement begins, and where it is over, as a change from the face at rest."""

    enter: float = Field(gt=0)
    leave: float = Field(gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.leave < self.enter:
            raise ValueError("leave must be below enter")
        return self


class TurnLimits(MovementLimits):
    """Limits of a head turn: a flat print turned by 29 degrees is seen as 5.7, a head as 15 and more."""

    enter: float = Field(10.0, gt=0, description="yaw with which a head turn begins, degrees")
    leave: float = Field(6.0, gt=0, description="yaw below which a head turn is over, degrees")


class SmileLimits(MovementLimits):
    """Limits of a smile: smiles reach 0.21 and more, a turned face up to 0.10."""

    enter: float = Field(
        0.15, gt=0, description="growth of the mouth's width and its corners' height, distances of the eyes, of a smile"
    )
    leave: float = Field(0.10, gt=0, description="the same below which a smile is over")


class BlinkLimits(MovementLimits):
    """Limits of a blink. Eyes open at a ratio of 0.25 to 0.35 count as closed below 0.2 (`eye_aspect_ratio`)."""

    enter: float = Field(0.22, gt=0, description="share by which the eyes' openness falls in a blink")
    leave: float = Field(0.13, gt=0, description="the same below which a blink is over")


class ActivePolicy(Frozen):
    """Active liveness: thresholds of movements, of flatness and of the light challenge.

    The numbers were set on sequences rendered from photographs (`tests/bench/active_liveness.py`, docs/DETECTION.md).
    """

    turn: TurnLimits = TurnLimits()
    smile: SmileLimits = SmileLimits()
    blink: BlinkLimits = BlinkLimits()
    least_measured: Share = Field(0.75, description="share of frames that must have a face, and a face template")
    still_motion: float = Field(
        0.03, ge=0, description="motion within a face, as a share of its size, from which two frames are two pictures"
    )
    copied_misfit: float = Field(
        1.65,
        ge=0,
        description="standard errors left by the best similarity of two frames, below which both are one picture",
    )
    frozen_motion: float = Field(
        0.014, ge=0, description="motion within a face between most frames, below which all frames are one picture"
    )
    most_face_distance: float = Field(
        1.0, gt=0, description="distance of two frames' templates, in distances at which a model sees one person"
    )
    least_foreshortening: float = Field(
        0.03, gt=0, description="foreshortening from which a turned surface is judged; a plane at 14 degrees has 0.03"
    )
    least_depth: float = Field(
        0.25, ge=0, description="what a homography leaves of a turned face, over the root of its foreshortening"
    )
    least_behind: float = Field(
        0.11, ge=0, description="distance by which a turned face leaves its surroundings' motion, distances of the eyes"
    )
    least_correlation: float = Field(
        0.75, gt=0, lt=1, description="correlation of the light on the face with the colours of the screen"
    )
    most_chance: Share = Field(
        0.005,
        description="share of all orders of the colours that may fit as well as the session's, unless that fits best",
    )
    most_odd: float = Field(
        0.45,
        gt=0,
        description="error of one colour against what the others tell of it, in shares of the screen's light",
    )
    most_dim: float = Field(
        0.7, gt=0, description="error of one colour's brightness against the median, in shares of the screen's light"
    )
    #: The glass of a device that replays a video gives back a twentieth of the light: 0.013 to 0.018 in 10 captures;
    #: 50 genuine ones had 0.17 to 0.21.
    least_share: float = Field(0.03, ge=0, description="share of the screen in the face's light that can be measured")
    most_lag: Share = Field(0.3, description="part of the light that may belong to the colour before")
    most_flat: float = Field(
        0.8, gt=0, description="response of the face's sides to the screen, over that of its front"
    )
    most_behind: float = Field(0.4, gt=0, description="response of the background, over that of the face's front")
    most_clipped: Share = Field(0.1, description="clipped share of the face's front that leaves room for light")
    late_ms: int = Field(500, ge=0, description="time after the end of a colour in which its frame may be taken")
