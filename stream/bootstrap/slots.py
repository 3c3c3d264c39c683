"""The slot pool of a worker: the analyser by name, and what a slot may read."""

from __future__ import annotations

from config.policy import Policy
from config.settings import Settings
from detectors.pool import AnalyserFactory, Confinement, PoolSettings, SlotPool
from stream.bootstrap.models import model_versions, network_sources, slot_files, template_source

#: Imported once and inherited by every slot; none of them starts a thread.
SLOT_PRELOAD = ("numpy", "cv2", "mediapipe", "detectors.analysis")
#: By name, since importing the function would load native code into the worker.
FACE_ANALYSER = "detectors.analysis:face_analyser"


def open_pool(
    settings: Settings, policy: Policy, *, slots: int | None = None, analyser: AnalyserFactory = FACE_ANALYSER
) -> SlotPool:
    """Slot pool, not yet started; `slots` overrides the setting. Raises SettingsError for a wrong model."""
    model_versions(settings, policy)
    detection = settings.detection
    return SlotPool(
        analyser,
        (
            policy.model_dump_json(),
            detection.face_landmarker_bundle,
            template_source(settings, policy),
            network_sources(settings, policy),
        ),
        settings=PoolSettings(
            slots=slots or detection.slots,
            deadline_s=policy.deadlines.detector_s,
            memory_mib=detection.slot_memory_mib,
            max_image_bytes=policy.image.max_bytes,
            recycle_after=detection.recycle_after,
            preload=SLOT_PRELOAD,
            readable=slot_files(settings, policy),
            confinement=Confinement(detection.confinement),
        ),
    )
