"""`liveness models prepare`: convert the face template's network once, at set-up."""

from __future__ import annotations

from config.cache import cache_folder
from detectors.template import built_in, dlib_resnet
from stream.cli.console import JsonOption, fail, plain, print_json, say


def command(json: JsonOption = False) -> None:
    """Make the model files that are not installed ready to use; does nothing where they are. Needs no service."""
    try:
        path = built_in.prepare(cache_folder())
    except (OSError, ValueError) as error:
        fail(f"the face template model can't be prepared: {error}")
    if json:
        print_json({"prepared": [{"path": str(path), "sha256": dlib_resnet.ONNX_SHA256}]})
    else:
        say(plain(f"face template model ready: {path}"))
