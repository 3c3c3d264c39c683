"""Rich values of both codecs, and the golden files that hold how each was first written."""

from __future__ import annotations

import struct
from dataclasses import asdict
from pathlib import Path

import numpy as np
import orjson

from abuse.faces.protected_template import ProtectedTemplate
from abuse.links.reuse_references import ReuseReferences
from abuse.observation import Origin
from abuse.pictures.media_keys import KeyedImageHashes
from abuse.subjects import Subject, SubjectType
from config.catalogues.error_codes import ErrorCode
from detectors.contract import Analysis, ModelVersion, PictureHashes, Reading, ReadingStatus, Template
from detectors.contract_measures import (
    LIGHT_REGIONS,
    PROFILE,
    PROFILE_PLACES,
    SHAPE_LANDMARKS,
    FrameMeasures,
    RegionLight,
)
from stream.events.message.ids import SubmissionIds, request_id
from stream.events.message.messages import AlreadyDecided, Detection, Refusal
from stream.events.message.session_terms import FrameContext, FramePart
from tests.unit.stream.builders import FINGERPRINT, analysis, detection, ids

GOLDEN = Path(__file__).parent / "golden"

FULL = Analysis(
    face_detected=True,
    readings=(
        Reading(name="sharpness", label="Sharpness", status=ReadingStatus.SCORED, liveness=0.75, detail="σ² 81.5"),
        Reading(
            name="exif_metadata", label="EXIF", status=ReadingStatus.ABSTAINED, reason="no_exif", detail="no EXIF block"
        ),
    ),
    notes=("trailing_data", "bystander"),
    models=(ModelVersion(name="face mesh", version="0.10.21", sha256="ab" * 32),),
    template=Template(model="dlib_resnet", model_sha256="cd" * 32, vector=struct.pack("<3f", 0.5, -1.25, 3e-20)),
    picture=PictureHashes(pixels_sha256="ef" * 32, perceptual=0xFEDCBA9876543210),
    elapsed_ms={"gate": 0.1, "decode": 1.7, "a.b:c-d_e": 1e-7},
    cpu_ms=12.5,
)
FAILED = Reading(name="head_pose", label="Head pose °", status=ReadingStatus.FAILED, reason="MemoryError", detail="")
MEASURES = FrameMeasures(
    yaw=-12.5,
    pitch=3.0,
    roll=180.0,
    eye_right=0.31,
    eye_left=0.0,
    mouth_width=0.82,
    corner_lift=-0.05,
    shape=tuple(place / 64 for place in range(2 * len(SHAPE_LANDMARKS))),
    scene=bytes(range(40)),
    profiles=bytes(PROFILE_PLACES * PROFILE.itemsize),
    light=(*(RegionLight(red=0.5, green=0.25, blue=1 / 3, clipped=0.0),) * (len(LIGHT_REGIONS) - 1), None),
    brightness=131.5,
    clipped=1.0,
    sharpness=1e6,
)
ANALYSES = {
    "full": FULL,
    "measured": Analysis(face_detected=True, measures=MEASURES),
    "no_template": Analysis(face_detected=True, template_reason="face_cut_off"),
    "refused": Analysis(error=ErrorCode.NO_FACE_DETECTED, message="no face found"),
    "empty": Analysis(),
    "failed": Analysis(readings=(FAILED,), elapsed_ms={"signals": 86_400_000.0}, cpu_ms=1 / 3),
}

ORIGIN = Origin(
    device=Subject(type=SubjectType.DEVICE, key="k2-" + "a" * 32, former=("k1-" + "b" * 32,)),
    address=Subject(type=SubjectType.ADDRESS, key="k2-" + "c" * 32),
    networks=("tor", "vpn_1"),
    as_expected=False,
)
REFERENCES = ReuseReferences(
    face=ProtectedTemplate("net-1", "k1", np.linspace(-1, 1, 128).astype("<f2").astype("<f4").tobytes()),
    picture=(
        KeyedImageHashes(key_id="k2", bytes=0, pixels=2**63, perceptual=2**64 - 1),
        KeyedImageHashes(key_id="k1", bytes=1, pixels=2, perceptual=3),
    ),
)
PREFIX = Origin(prefix=Subject(type=SubjectType.PREFIX, key="k-" + "0" * 32))
#: All that is ever written of a submission, and as little as there can be.
ALL_IDS = ids(tenant="bank-1", session_id="s/1", resource_id="r~2")
FEW_IDS = SubmissionIds(submission_id="!")
REFUSAL = Refusal(error=ErrorCode.IMAGE_TOO_LARGE, message="the image has more than 10 bytes, ü", counts=False)


def decided(about: SubmissionIds, fingerprint: str = FINGERPRINT) -> AlreadyDecided:
    """A decision with the ids of a submission and empty fields."""
    fields = dict.fromkeys(("timestamp", "status", "result", "error", "abuse", "policy", "models", "elapsed_ms"), "ü")
    named = {"request_id": request_id(about, fingerprint), **asdict(about)}
    return AlreadyDecided(decision=orjson.dumps(named | fields))


CONTEXTS = (FrameContext(), FrameContext(challenge="light", at_ms=250, colour=3))
DETECTIONS: dict[str, Detection] = {
    "analysed": detection(
        FULL, ids=ALL_IDS, origin=ORIGIN, references=REFERENCES, queue_ms=1 / 8, detection_ms=1234.567
    ),
    "refused": detection(REFUSAL, ids=FEW_IDS, origin=PREFIX),
    "decided": detection(decided(ids())),
    "one_frame": detection(analysis({"sharpness": 0.75, "lbp_texture": None})),
    "several_frames": detection((ANALYSES["no_template"], FULL)),
    "compared_frames": detection(
        (FULL, FULL), face_distances=(None, 0.5), pixels=(None, "ab" * 16), contexts=CONTEXTS, content="cd" * 16
    ),
    "part": detection(FULL, part=FramePart(frame_index=11, frame_count=12), pixels=("ab" * 16,)),
}
