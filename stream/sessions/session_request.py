"""Requests of app servers for sessions, and a tenant's defaults for those that ask for nothing. Pure.

Names, types and defaults are those of the face-liveness API that sessions follow; a value of another type is refused,
and so is a name that nobody knows.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from config.catalogues.challenges import Challenge
from stream.encryption.capture_statement import public_jwk
from stream.events.message.ids import SUBMISSION_ID, ShortText, personal_guid
from stream.events.message.session_terms import MOST_ATTEMPTS, LivenessMode
from stream.pipeline.intake.submission_fields import network_of

#: Seconds that a token may live.
SHORTEST_TOKEN_S, LONGEST_TOKEN_S = 60, 86_400


def _each_once(challenges: list[Challenge]) -> list[Challenge]:
    if len(set(challenges)) != len(challenges):
        raise ValueError("expected each challenge once")
    return challenges


class SessionWishes(BaseModel):
    """Fields that a command may give a session, and else its tenant."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    liveness_mode: Annotated[LivenessMode, Field(strict=False)] | None = None
    liveness_threshold: Annotated[int, Field(ge=0, le=100)] | None = None
    liveness_challenges: (
        Annotated[list[Challenge], Field(min_length=1, max_length=4), AfterValidator(_each_once)] | None
    ) = None
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = None
    token_lifetime_s: Annotated[int, Field(ge=SHORTEST_TOKEN_S, le=LONGEST_TOKEN_S)] | None = None


class SessionDefaults(SessionWishes):
    """Defaults of a tenant's sessions. `required`: no submission of the tenant without a session token.
    `require_head_turn`: no session with challenges without a head turn."""

    required: bool | None = None
    require_head_turn: bool | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Fields that are set, as plain values."""
        return self.model_dump(mode="json", exclude_none=True)


class SessionRequest(SessionWishes):
    """Fields of `session.create` besides those of every command."""

    client_request_token: Annotated[str, StringConstraints(pattern=SUBMISSION_ID)]
    correlation_id: Annotated[str, AfterValidator(personal_guid)]
    device_id: ShortText | None = Field(None, repr=False)
    light_challenge: bool = False
    expected_client_ip: Annotated[str, StringConstraints(max_length=64), AfterValidator(network_of)] | None = Field(
        None, repr=False
    )
    attestation_required: bool = False
    reference_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    capture_key: Annotated[dict[str, Any], AfterValidator(public_jwk)] | None = None
    deliver_session_image: bool = False

    def digest(self, keyed: dict[str, str]) -> str:
        """Digest of what was asked for, with personal fields in their `keyed` form alone."""
        asked = {**self.model_dump(mode="json", include=_PLAIN), **keyed}
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


#: Fields of a request that are no personal data by themselves.
_PLAIN = set(SessionRequest.model_fields) - {"device_id", "expected_client_ip", "client_request_token"}
