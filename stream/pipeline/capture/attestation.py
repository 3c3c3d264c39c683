"""Attestation of a capture: the client's statement against the pictures and the session's terms. Pure.

A statement proves that the holder of the session's key vouches for exactly these pictures, in this session. What is
missing or wrong can only lower a verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from detectors.contract import Indication
from stream.encryption.capture_claims import CaptureChannel, CaptureClaims
from stream.encryption.capture_statement import StatementForged, read_capture_key
from stream.encryption.key_files import KeyRefused
from stream.events.message.findings import FORGED, NOT_ATTESTED, Attestation, CaptureFinding
from stream.events.message.messages import Detection, Submission
from stream.events.message.session_terms import SessionTerms

#: Codes in the catalogue of indications (`config.catalogues.injection`).
CODE_FORGED, CODE_NOT_ATTESTED, CODE_WEB = "capture_forged", "capture_not_attested", "captured_by_web"
#: Indications that keep a capture from counting where the session asks for an attested one.
UNATTESTED = frozenset({CODE_FORGED, CODE_NOT_ATTESTED})

_DETAIL = {
    CODE_FORGED: "The capture statement is not of this session's key, or not about these pictures.",
    CODE_NOT_ATTESTED: "No statement of the session's client vouches for the pictures.",
    CODE_WEB: "The pictures were captured in a browser, where a camera is easily replaced.",
}


def capture_finding(submission: Submission, terms: SessionTerms) -> CaptureFinding:
    """Finding on a submission's capture, for the detect stage; raises nothing. A session without a key of the client's
    has nobody whose statement could be right: not attested.

    Without a statement nothing is computed; with one, a signature (0.15 ms) and the digests of all frames.
    """
    if not submission.capture_attestation or not terms.capture_key:
        return NOT_ATTESTED
    try:
        claims = read_capture_key(terms.capture_key.encode()).claims(submission.capture_attestation)
    except (KeyRefused, StatementForged):
        return FORGED
    if (claims.session, claims.nonce) != (terms.session_id, terms.nonce) or not _about(claims, submission):
        return FORGED
    return CaptureFinding(attestation=Attestation.ATTESTED, channel=claims.channel, camera=claims.camera)


def _about(claims: CaptureClaims, submission: Submission) -> bool:
    """Whether the claims are about the very pictures: all of a submission, or a record's one at its place."""
    digests = tuple(hashlib.sha256(frame.image).hexdigest() for frame in submission.frames)
    if (part := submission.part) is None:
        return claims.digests == digests
    place = claims.digests[part.frame_index : part.frame_index + 1]
    return len(claims.digests) == part.frame_count and place == digests


def finding_on(detection: Detection) -> CaptureFinding | None:
    """Finding on a detection's capture, not attested where it is missing in a session; None without a session."""
    return None if detection.session is None else detection.capture or NOT_ATTESTED


def capture_indications(finding: CaptureFinding | None) -> Iterator[Indication]:
    """Indications of injection that follow from a finding."""
    if finding is None:
        return
    code = {Attestation.FORGED: CODE_FORGED, Attestation.NOT_ATTESTED: CODE_NOT_ATTESTED}.get(finding.attestation)
    if code is None and finding.channel is CaptureChannel.WEB:
        code = CODE_WEB
    if code is not None:
        yield Indication(code=code, detail=_DETAIL[code])
