"""The analysis of one frame: gate, decode, mesh, framing, signals, template, hashes, in a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from config.catalogues.detector_catalogue import KNOWN
from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from detectors import framing, image_gate, picture_hash
from detectors.active.measuring import measure
from detectors.contract import Analysis, ImageRefused, Indication, ModelVersion, Reading, ReadingStatus
from detectors.contract_measures import FrameMeasures
from detectors.face_mesh import Box, Face, open_counter, open_mesh, pose_of
from detectors.frame import WorkingFrame, decode
from detectors.injection.capture_times import taken_at
from detectors.injection.checks import indications_of, with_decoded, with_face
from detectors.pad import PadSource, open_networks
from detectors.pad.one_light import in_light_of
from detectors.signals import FaceObservation, Signal, build
from detectors.template import TemplateSource, open_template
from detectors.template.extraction import SWITCHED_OFF, Extraction, extract

_Result = TypeVar("_Result")
_MS = 1000.0
#: How much of a frame around a face of the mesh is looked at for that face again, in the longer side of its box. At 1.4
#: and 1.8 a counter finds no face at the two phantoms of 64 bona fide pictures, and one at each face of a pair.
LOOKED_AT = 1.8


class Stopwatch:
    """Wall time of each step, milliseconds, and processor time of all."""

    def __init__(self) -> None:
        self.elapsed_ms: dict[str, float] = {}
        self._cpu_started = time.process_time()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.elapsed_ms[name] = (time.perf_counter() - started) * _MS

    @property
    def cpu_ms(self) -> float:
        """Processor time of the whole process since the watch was made."""
        return (time.process_time() - self._cpu_started) * _MS


def face_analyser(
    policy_json: str, bundle: Path | None, template: TemplateSource | None, networks: tuple[PadSource, ...] = ()
) -> FaceAnalyser:
    """The analyser of a slot process, from arguments that can be pickled.

    Called once in each slot by the slot pool. Raises OSError or ValueError, as FaceAnalyser does.
    """
    return FaceAnalyser(Policy.model_validate_json(policy_json), bundle, template, networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramedFace:
    """The face of a picture as framing chose it, before any signal; `notes` are reason codes about the picture,
    `indications` what its file tells of an injection."""

    seen: FaceObservation
    notes: tuple[str, ...]
    indications: tuple[Indication, ...] = ()


class FaceAnalyser:
    """Analyser of frames (see `Analyser`) with every model it needs; one per slot process, not thread-safe.

    The constructor loads the models (about a second) and may raise OSError or ValueError (a bundle or a
    template model that is missing or is not the pinned file). Without `template`, or where the policy
    switches them off, no templates are made. `networks` are the presentation-attack networks that take part.
    """

    def __init__(
        self,
        policy: Policy,
        mesh_bundle: Path | None = None,
        template: TemplateSource | None = None,
        networks: tuple[PadSource, ...] = (),
    ) -> None:
        self._policy = policy
        self.mesh = open_mesh(mesh_bundle, min_face_confidence=policy.parameters.min_face_confidence)
        self.counter = open_counter()
        self.signals: tuple[Signal, ...] = build(policy.parameters, policy.signals)
        self.template = open_template(template) if template is not None and policy.template.active else None
        self.networks = open_networks(networks)
        self._network_models = tuple(source.model for source in networks)

    @property
    def models(self) -> tuple[ModelVersion, ...]:
        """Model files that take part in every analysis."""
        template = () if self.template is None else (self.template.spec.model,)
        return self.mesh.models + self.counter.models + self._network_models + template

    def analyse(
        self, image: bytes | memoryview, /, *, measured: bool = False, rest: FrameMeasures | None = None
    ) -> Analysis:
        """Analysis of one image file: a reading of every signal, or the error that says why there is none; `measured`
        with the measures of active liveness, too. Networks see a measured frame in the light of the frame with the
        measures `rest`.

        Called by the slot's loop. Blocks (about 50 ms, 10 more for measures), raises nothing that a picture can
        cause, may be repeated. The caller owns the deadline, because native code can't be interrupted.
        """
        watch = Stopwatch()
        try:
            framed = self.look(image, watch)
            with watch.step("signals"):
                readings = tuple(_read(each, KNOWN[each.name].label, framed.seen) for each in self.signals)
            measures = None
            if measured:
                with watch.step("measures"):  # without measures an assessment fails closed
                    measures = _or_none(lambda: measure(framed.seen))
            if self.networks:
                with watch.step("networks"):
                    lit = framed.seen if measures is None or rest is None else in_light_of(framed.seen, measures, rest)
                    readings += tuple(_read(each, each.network.label, lit) for each in self.networks)
            with watch.step("template"):
                extraction = self._extract(framed)
            with watch.step("hashes"):  # a picture that can't be found again is still judged
                picture = _or_none(lambda: picture_hash.hashes_of(framed.seen.frame, framed.seen.face))
        except ImageRefused as refusal:
            return Analysis(
                error=refusal.code,
                message=refusal.message,
                face_detected=refusal.code is ErrorCode.MULTIPLE_FACES,
                notes=(refusal.reason,) if refusal.reason else (),
                models=self.models,
                elapsed_ms=watch.elapsed_ms,
                cpu_ms=watch.cpu_ms,
            )
        return Analysis(
            face_detected=True,
            readings=readings,
            notes=framed.notes,
            models=self.models,
            template=extraction.template,
            template_reason=extraction.reason,
            picture=picture,
            indications=framed.indications,
            taken_at=taken_at(framed.seen.exif.taken_at),
            measures=measures,
            elapsed_ms=watch.elapsed_ms,
            cpu_ms=watch.cpu_ms,
        )

    def look(self, image: bytes | memoryview, watch: Stopwatch | None = None) -> FramedFace:
        """The framed face of an image file: gate, decode, mesh and framing only. Raises `ImageRefused`."""
        watch = watch or Stopwatch()
        with watch.step("gate"):
            header = image_gate.inspect(image, self._policy.image)
            indications = indications_of(image, header)
        with watch.step("decode"):
            frame = decode(image, header)
            indications = with_decoded(indications, header, frame)
        with watch.step("mesh"):
            faces, counted = self._find(frame)
        with watch.step("framing"):
            subject = framing.choose(faces, counted, self._policy.framing)
            pose = pose_of(subject.face.transform)
            missed = framing.requirements_missed(frame, subject.face, pose, self._policy.framing)
            indications = with_face(indications, frame, subject.face)
        notes = (("trailing_data",) if header.trailing_data else ()) + subject.notes + missed
        return FramedFace(
            seen=FaceObservation(frame=frame, face=subject.face, pose=pose, exif=header.exif),
            notes=notes,
            indications=indications,
        )

    def close(self) -> None:
        """Free the native models."""
        self.mesh.close()
        self.counter.close()

    def _extract(self, framed: FramedFace) -> Extraction:
        if self.template is None:
            return Extraction(None, SWITCHED_OFF)
        return extract(self.template, framed.seen, framed.notes, self._policy.template)

    def _find(self, frame: WorkingFrame) -> tuple[tuple[Face, ...], tuple[Box, ...]]:
        """Faces of the mesh, and counted ones where the mesh is not to be trusted with the number; a native failure
        becomes `ImageRefused` with INFERENCE_ERROR."""
        try:
            faces = self.mesh.find(frame.bgr)
            if framing.needs_count(faces, frame, self._policy.parameters.min_face_confidence):
                counted = self.counter.find(frame.bgr)
                return self._confirmed(faces, counted, frame), counted
            return faces, ()
        except (RuntimeError, ValueError) as error:
            raise ImageRefused(
                ErrorCode.INFERENCE_ERROR, f"the face mesh failed on this image ({type(error).__name__})"
            ) from error

    def _confirmed(self, faces: tuple[Face, ...], counted: tuple[Box, ...], frame: WorkingFrame) -> tuple[Face, ...]:
        """The faces of several that are no phantoms: where the counter sees faces, but none at a face of the mesh even
        in the pixels around that face, there is a flag or a curtain."""
        if len(faces) < 2 or not counted:
            return faces
        return tuple(
            face
            for face in faces
            if any(face.box.covers(box) for box in counted) or self.counter.find(_around(frame, face.box))
        )


def _around(frame: WorkingFrame, box: Box) -> NDArray[np.uint8]:
    """Pixels around a box inside the frame, BGR."""
    reach, (x, y) = max(box.width, box.height) * LOOKED_AT / 2, box.middle
    wide = Box(x - reach, y - reach, x + reach, y + reach).clipped(frame.width, frame.height)
    return np.ascontiguousarray(wide.cut(frame.bgr))


def _or_none(work: Callable[[], _Result]) -> _Result | None:
    """Result of a work; None if the work breaks, which costs no reading."""
    try:
        return work()
    except Exception:  # any bug must cost this result only
        return None


def _read(check: Signal, label: str, seen: FaceObservation) -> Reading:
    """Reading of one signal or network; FAILED if it raises, which is evidence for neither a bona fide presentation nor
    an attack, and costs no other reading."""
    try:
        return check.read(seen)
    except Exception as error:  # a bug, or whatever native code or an odd face box causes
        words = f"the check could not be computed ({type(error).__name__})"
        return Reading(name=check.name, label=label, status=ReadingStatus.FAILED, reason="signal_error", detail=words)
