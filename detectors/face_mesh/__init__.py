"""The face mesh: landmarks and head pose of every face on a frame.

`port` says what a mesh answers, `solutions` and `tasks` are its two adapters to MediaPipe, `pose` turns
landmarks into the 4x4 transform where MediaPipe gives none, and reads angles off the transform. `counter` sees how many
faces there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detectors.face_mesh.port import Box, Face, FaceMesh
from detectors.face_mesh.pose import Pose, pose_of

if TYPE_CHECKING:
    from detectors.face_mesh.counter import FaceCounter

__all__ = ["Box", "Face", "FaceMesh", "Pose", "open_counter", "open_mesh", "pose_of"]


def open_counter() -> FaceCounter:
    """The face counter for this process, from a model in the wheel. MediaPipe is imported here, as for the mesh."""
    from detectors.face_mesh.counter import FaceCounter  # noqa: PLC0415  # see above

    return FaceCounter()


def open_mesh(bundle: Path | None, *, min_face_confidence: float) -> FaceMesh:
    """The mesh for this process: the Tasks bundle if one is configured, else the models in the wheel.

    Loads weights (about a second); a bundle with another hash than the pinned one raises ValueError.
    MediaPipe is imported here and not at the top, so that only slot processes pay for it.
    """
    if bundle is not None:
        from detectors.face_mesh.tasks import TasksMesh  # noqa: PLC0415  # see above

        return TasksMesh(bundle, min_face_confidence=min_face_confidence)
    from detectors.face_mesh.solutions import SolutionsMesh  # noqa: PLC0415  # see above

    return SolutionsMesh(min_face_confidence=min_face_confidence)
