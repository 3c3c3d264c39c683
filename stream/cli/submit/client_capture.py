"""Client's side of a session, for `liveness submit`: the token, and a statement about the picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import typer

from stream.encryption.capture_claims import CaptureChannel, CaptureClaims
from stream.encryption.capture_statement import CaptureKey, named_in, read_capture_key
from stream.encryption.compact import told_by
from stream.encryption.key_files import KeyRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCapture:
    """Capture of a client that was given a session's token; `key` signs statements about its pictures."""

    token: str
    key: CaptureKey | None = None
    channel: CaptureChannel = CaptureChannel.DESKTOP
    camera: str = ""

    def fields(self, *images: bytes) -> dict[str, str]:
        """Fields of a submission of the frames, in their order. Raises ValueError for a token or label that is none."""
        if self.key is None:
            return {"session_token": self.token}
        session, nonce = named_in(self.token)
        claims = CaptureClaims(
            digests=tuple(hashlib.sha256(image).hexdigest() for image in images),
            session=session,
            nonce=nonce,
            channel=self.channel,
            camera=self.camera,
        )
        return {"session_token": self.token, "capture_attestation": self.key.sign(claims)}


def client_capture(token: str | None, key: Path | None, channel: CaptureChannel, camera: str) -> ClientCapture | None:
    """Client's side of the options; None without a token. Ends the command for a key without token, or no key."""
    if token is None:
        if key is not None:
            raise typer.BadParameter("needs --session-token", param_hint="--capture-key")
        return None
    try:
        read = None if key is None else read_capture_key(key.read_bytes(), private=True)
    except KeyRefused as error:
        raise typer.BadParameter(f"{key} {error}", param_hint="--capture-key") from None
    return ClientCapture(token=token, key=read, channel=channel, camera=camera)


def ids_in(token: str) -> dict[str, str]:
    """Correlation id, session and tenant that a token names (`sub`, `sid`, `tenant`), unchecked; empty for no token."""
    try:
        claims = told_by(token)
    except ValueError:
        return {}
    return {name: claims[name] for name in ("sub", "sid", "tenant") if isinstance(claims.get(name), str)}
