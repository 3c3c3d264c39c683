"""`liveness keys`: keys of encrypted selfies, of reviewers, of session tokens, and of clients who attest captures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from stream.cli.console import fail, out, print_json, say
from stream.encryption.key_files import KeyAlgorithm, KeyRefused, as_jwk, new_key
from stream.encryption.reviewer_keys import SigningKey, new_signing_key

app = typer.Typer(help="Keys of pictures, reviewers, session tokens and attested captures.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("new")
def new(
    kid: Annotated[str, typer.Argument(help="The key's name, seen by publishers; for example a date.")],
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Where the private key goes.")],
    algorithm: Annotated[KeyAlgorithm, typer.Option(help="RSA of 2048 bits, or P-256.")] = KeyAlgorithm.RSA_OAEP_256,
) -> None:
    """Make a key pair: KID.json in the folder is the private key; the public one, for publishers, goes to stdout."""
    try:
        key = new_key(kid, algorithm)
    except KeyRefused as error:
        raise typer.BadParameter(str(error)) from None
    path = _kept(folder, kid, as_jwk(key, private=True))
    print_json(as_jwk(key, private=False))
    say(
        f"Private key: {path}. For selfies every worker needs it before a publisher uses the public one; "
        "for session images the tenant alone needs it."
    )


@app.command("reviewer")
def reviewer(
    kid: Annotated[str, typer.Argument(help="The key's name, seen in audit entries; for example a name and a year.")],
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Where the private key goes.")],
    actor: Annotated[str, typer.Option(help="Whose key it is: the actor of this person's commands.")],
    role: Annotated[list[str], typer.Option(help="A role of the reviewers' file; may be repeated.")],
) -> None:
    """Make a key pair that signs commands: KID.json is the private key, its owner's LIVENESS_COMMANDS__SIGNING_KEY;
    the public one goes to stdout, for the file LIVENESS_COMMANDS__REVIEWERS of the workers."""
    key, path = _signing_key(kid, folder)
    texts = {"actor": actor, "roles": role, "public": key.public}
    # A JSON string without control characters is a TOML string, and a list of such a TOML array.
    lines = [f"[keys.{json.dumps(kid)}]", *(f"{name} = {json.dumps(text)}" for name, text in texts.items())]
    out.print("\n".join(lines), markup=False, soft_wrap=True)
    say(f"Private key: {path}. Its owner alone needs it.")


@app.command("session")
def session(
    kid: Annotated[str, typer.Argument(help="The key's name, seen in tokens; for example a date.")],
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False, help="LIVENESS_SESSIONS__KEYS of the workers.")],
) -> None:
    """Make a key pair that signs session tokens: KID.json is the private key, for every worker alike; the public one,
    for a check of tokens elsewhere, goes to stdout."""
    key, path = _signing_key(kid, folder)
    print_json(key.key.as_dict(private=False))
    say(f"Private key: {path}. Every worker needs it before LIVENESS_SESSIONS__SIGNING_KEY names it.")


@app.command("capture")
def capture(
    kid: Annotated[str, typer.Argument(help="The key's name; for example of a device.")],
    folder: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Where the private key goes.")],
) -> None:
    """Make a key pair of a client, to which a session's token is bound: KID.json is the private key, for
    `liveness submit --capture-key`; the public one, for the command that creates the session, goes to stdout."""
    key, path = _signing_key(kid, folder)
    print_json({name: key.key.as_dict(private=False)[name] for name in ("kty", "crv", "x")})
    say(f"Private key: {path}. The client alone needs it.")


def _signing_key(kid: str, folder: Path) -> tuple[SigningKey, Path]:
    """A new key and the file of its private half. Ends the command for a name that is none."""
    try:
        key = new_signing_key(kid)
    except KeyRefused as error:
        raise typer.BadParameter(str(error)) from None
    return key, _kept(folder, kid, key.key.as_dict(private=True))


def _kept(folder: Path, kid: str, jwk: Mapping[str, Any]) -> Path:
    """File of a private key, readable for its owner alone. Ends the command if there is one."""
    path = folder / f"{kid.replace('/', '_').lstrip('.')}.json"
    content = orjson.dumps(jwk, option=orjson.OPT_APPEND_NEWLINE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    with open(descriptor, "wb") as file:
        file.write(content)
    return path
