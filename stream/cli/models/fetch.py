"""`liveness models fetch`: the files of presentation-attack networks, from their homes or a mirror folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from config.cache import cache_folder
from config.catalogues.pad_networks import SHIPPED, PadNetwork, network_file
from config.environment import MODEL_MIRROR_VARIABLE
from detectors.onnx.fetching import NotFetched, copy_from, download, is_ready
from stream.cli.console import JsonOption, complain, err, fail, plain, print_json, say


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Networks; unless given, all without conditions.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Also fetch what has conditions, and accept these.")] = False,
    json: JsonOption = False,
) -> None:
    """Fetch presentation-attack networks. A network that is there is left alone. Exit 1 if one is still missing."""
    wanted = _wanted(names, accept)
    mirror = os.environ.get(MODEL_MIRROR_VARIABLE)
    missing = [network for network in wanted if not _fetched(network, Path(mirror) if mirror else None)]
    if json:
        print_json({"networks": [_document(network, ready=network not in missing) for network in wanted]})
    if missing:
        fail(f"missing: {', '.join(network.name for network in missing)}; verdicts are given without")


def _wanted(names: list[str] | None, accept: bool) -> list[PadNetwork]:
    known = {network.name: network for network in SHIPPED}
    if unknown := [name for name in names or () if name not in known]:
        raise typer.BadParameter(f"there is no network {plain(unknown[0])}; known: {', '.join(known)}")
    wanted = [known[name] for name in dict.fromkeys(names)] if names else list(SHIPPED)
    conditions = [network for network in wanted if network.opt_in and not accept]
    for network in conditions if names else ():
        fail(f"{network.name}: {network.opt_in} Repeat with --accept if that suits you.")
    return [network for network in wanted if network not in conditions]


def _fetched(network: PadNetwork, mirror: Path | None) -> bool:
    target = network_file(network, cache_folder())
    if is_ready(target, network.sha256):
        say(plain(f"{network.name}: ready ({target})"))
        return True
    try:
        if mirror is not None:
            copy_from(mirror, target, network.sha256)
        else:
            _download(network, target)
    except NotFetched as error:
        complain(f"{network.name}: {error}")
        return False
    say(plain(f"{network.name}: fetched; licence {network.licence}; training data {network.trained_on} ({target})"))
    return True


def _download(network: PadNetwork, target: Path) -> None:
    with Progress(console=err, transient=True) as shown:
        bar = shown.add_task(network.name, total=None)
        download(network.home, target, network.sha256, lambda have, of: shown.update(bar, completed=have, total=of))


def _document(network: PadNetwork, *, ready: bool) -> dict[str, object]:
    about = {"licence": network.licence, "trained_on": network.trained_on, "conditions": network.opt_in}
    known = {"name": network.name, "label": network.label, "version": network.version, "sha256": network.sha256}
    return {**known, **about, "auc": dict(network.auc), "ready": ready}
