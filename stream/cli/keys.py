"""`liveness keys`: keys of encrypted selfies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import orjson
import typer

from stream.cli.console import ExitCode, complain, print_json, say
from stream.encryption.key_files import KeyAlgorithm, KeyRefused, as_jwk, new_key

app = typer.Typer(help="Keys of encrypted selfies.", no_args_is_help=True)


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
    path = folder / f"{kid.replace('/', '_').lstrip('.')}.json"
    content = orjson.dumps(as_jwk(key, private=True), option=orjson.OPT_APPEND_NEWLINE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        complain(f"{path}: {error.strerror}")
        raise typer.Exit(ExitCode.FAILURE) from None
    with open(descriptor, "wb") as file:
        file.write(content)
    print_json(as_jwk(key, private=False))
    say(f"Private key: {path}. Every worker needs it before a publisher uses the public one.")
