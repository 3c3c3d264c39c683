"""Session images: the best frame of a session's submission, named by its digest, and published if the session asks.

A picture leaves the detect stage encrypted to the tenant's key, on a topic of its own, or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from detectors.contract import Analysis
from stream.encryption import jwe
from stream.encryption.key_folder import ImageKeys
from stream.events.message.findings import SessionImage
from stream.events.message.ids import request_id
from stream.events.message.messages import Detection, Output, Submission
from stream.events.message.session_terms import SessionTerms
from stream.events.wire.cloud_events import EventType, binary_headers
from stream.pipeline.capture.best_frame import best_first

#: Reasons why a session image is not published.
NOT_WANTED, NO_FACE, NO_KEY, TOO_LARGE = "not_wanted", "no_face", "no_key", "too_large"
NOTHING = SessionImage(frame=None, sha256=None, published=False, reason=NO_FACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionImages:
    """Session images of one installation, for the detect stage. Without `keys` no picture is ever published.

    `max_bytes`: of the largest record that the topic takes.
    """

    keys: ImageKeys | None
    topic: str
    source: str
    max_bytes: int

    async def image(
        self, submission: Submission, terms: SessionTerms, analyses: Sequence[Analysis]
    ) -> tuple[SessionImage | None, list[Output]]:
        """Session image of an analysed submission, and the record to publish, if any. Encrypts in a thread (2 MB take
        8 to 14 ms). A repeat gives a record with the same event id.

        None for a record of a later frame: of a submission that is a record a frame, nobody has all frames, and the
        first is taken.
        """
        if submission.part is not None and submission.part.frame_index:
            return None, []
        best = best_first(analyses, submission.contexts)
        if not best:
            return NOTHING, []
        picture = bytes(submission.frames[best[0]].image)
        digest = hashlib.sha256(picture).hexdigest()
        key = self.keys.get(submission.ids.tenant) if self.keys is not None and terms.image_wanted else None
        reason = NOT_WANTED if not terms.image_wanted else NO_KEY if key is None else ""
        if not reason and jwe.longest(len(picture)) > self.max_bytes:
            reason = TOO_LARGE
        image = SessionImage(frame=best[0], sha256=digest, published=not reason, reason=reason)
        if key is None or reason:
            return image, []
        sealed = await asyncio.to_thread(jwe.encrypt, picture, key)
        return image, [self._output(submission, terms, image, sealed)]

    def _output(self, submission: Submission, terms: SessionTerms, image: SessionImage, sealed: bytes) -> Output:
        ids = submission.ids
        headers = binary_headers(
            EventType.SESSION_IMAGE,
            event_id=request_id(ids, submission.fingerprint).replace("lv_", "si_", 1),
            source=self.source,
            subject=ids.submission_id,
            content_type="application/jose",
            extensions={
                "sessionid": terms.session_id,
                "correlationid": ids.correlation_id,
                "tenant": ids.tenant,
                "imagesha256": image.sha256,
                "frameindex": str(image.frame),
            },
        )
        key = ids.correlation_id or ids.submission_id
        return Output(topic=self.topic, key=key.encode(), value=sealed, headers=headers)


def image_on(detection: Detection) -> SessionImage | None:
    """Session image of a detection; None without a session. One that is missing names no frame."""
    return None if detection.session is None else detection.session_image or NOTHING
