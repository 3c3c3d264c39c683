"""New tenants: what a worker makes once for each tenant, and the benchmark makes it pay with nearly every submission.

Faces and pictures are compared within a tenant under the tenant's keys, so that only a tenant of its own makes a
stranger of the benchmark's portrait. A deployment has few tenants; the report states the share of new ones and what
each costs, and the processor ratio without.
"""

from __future__ import annotations

import secrets
import statistics
import time
import uuid

from abuse.faces.template_protection import TemplateProtection
from abuse.keys.key_periods import HashKey
from abuse.pictures.media_keys import MediaKeys
from config.limits.abuse import FACE_REUSE, MEDIA_REPLAY
from detectors.contract import Analysis, Frame
from stream.events.message.ids import SubmissionIds
from stream.events.message.messages import CaptureContext, Submission
from stream.pipeline.capture.marking import MarkKeys, ReferenceExtractor

TENANTS = 20
_ACTIVE = frozenset({FACE_REUSE, MEDIA_REPLAY})
_REACH_MS = 24 * 3600 * 1000


def new_tenant_ms(analysis: Analysis) -> float:
    """Processor milliseconds that a submission of a new tenant takes more than one of a tenant met before, with one
    hash key: the median of differences, taken by turns."""
    keys = [HashKey(id="bench", secret=secrets.token_bytes(32))]
    extractor = ReferenceExtractor(
        MarkKeys(faces=TemplateProtection(keys, _REACH_MS), pictures=MediaKeys(keys, _REACH_MS))
    )

    def took_ms(tenant: str) -> float:
        submission = _submission(tenant)
        started = time.process_time()
        extractor.references(submission, analysis, _ACTIVE)
        return (time.process_time() - started) * 1000

    took_ms("met")
    extra = [took_ms(uuid.uuid4().hex) - took_ms("met") for _ in range(TENANTS)]
    return max(statistics.median(extra), 0.0)


def _submission(tenant: str) -> Submission:
    return Submission(
        ids=SubmissionIds(submission_id="bench", tenant=tenant),
        context=CaptureContext(),
        frames=(Frame(b""),),
        image_sha256="0" * 64,
        fingerprint="0" * 32,
        appended_at_ms=0,
    )
