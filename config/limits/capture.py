"""Demands on a picture: the image gate, framing, the quality gate of a face template, and face verification."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from config.limits.frozen import Frozen


class ImageLimits(Frozen):
    """Limits of the image gate, before a native decoder sees the file."""

    max_bytes: int = Field(10 * 1024 * 1024, gt=0, description="decoded image file, bytes")
    max_pixels: int = Field(
        51_000_000, gt=0, le=64_000_000, description="width x height from the header; phones of 50 megapixels pass"
    )
    max_side: int = Field(16_384, gt=0, description="longest side, pixels")
    min_side: int = Field(64, gt=0, description="shortest side, pixels")
    max_pixels_per_byte: float = Field(
        400.0, gt=0, description="header pixels over file bytes; photographs stay far below, decompression bombs do not"
    )


class Framing(Frozen):
    """Framing: faces, their size and rotation asked for in a selfie."""

    max_bystander_ratio: float = Field(
        0.25, ge=0, le=1, description="a second face with a box below this share of the largest is a far bystander"
    )
    max_rotation_deg: float = Field(30.0, gt=0, le=90, description="head rotation asked for, any axis, degrees")
    ideal_face_area: tuple[float, float] = Field((0.10, 0.40), description="face box share of a good selfie")

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.ideal_face_area
        if not 0 <= low < high <= 1:
            raise ValueError("ideal_face_area must be two rising shares between 0 and 1")
        return self


class TemplateGate(Frozen):
    """Quality gate of enrolment: a bad view of a face gets no template."""

    active: bool = Field(True, description="make a face template of every picture that passes this gate")
    min_interocular_px: float = Field(
        32.0, gt=0, description="distance of the eyes' centres below which a face is too small, pixels"
    )
    min_border_ratio: float = Field(
        0.02, ge=0, lt=1, description="room between face and picture edge, as a share of the face's width"
    )
    max_yaw_deg: float = Field(40.0, gt=0, le=90, description="yaw above which there is no template, degrees")
    max_pitch_deg: float = Field(30.0, gt=0, le=90, description="pitch above which there is no template, degrees")
    max_roll_deg: float = Field(45.0, gt=0, le=180, description="roll above which there is no template, degrees")


class FaceVerification(Frozen):
    """Face verification: how much a face must look like that of the reference image."""

    false_match_rate: float = Field(
        1e-4,
        ge=1e-6,
        le=0.1,
        description="share of strangers that pass as the person of the reference image, by the calibration",
    )
