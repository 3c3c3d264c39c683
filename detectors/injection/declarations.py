"""Declarations of a picture's origin: XMP, C2PA and the settings that generators leave in a file.

Origins are IPTC's digital source types (cv.iptc.org/newscodes/digitalsourcetype). A C2PA manifest is searched for
them and for its actions (C2PA 2.2, 18.14); **its signature is not verified**: what it admits counts against a picture,
what it claims never for one, and no manifest is no indication.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from detectors.contract import Indication
from detectors.injection.embedded import EmbeddedMetadata

_SOURCE_TYPE = re.compile(rb"digitalsourcetype(?:/|[\"']?\s{0,8}[=:>]\s{0,8}[\"']?)([a-z]{1,60})")
_GENERATED = frozenset(
    ("trainedalgorithmicmedia", "compositewithtrainedalgorithmicmedia", "algorithmicmedia", "compositesynthetic")
)
_SCREEN = frozenset(("screencapture", "virtualrecording"))
MAX_SOURCE_TYPES = 64

#: Actions that change what a picture shows; crops, turns, colours and metadata don't.
_EDIT = re.compile(rb"c2pa\.(?:edited(?!\.metadata)|placed|drawing|filtered|removed|deleted)")

#: Keyword of a PNG's text -> the program that writes its settings there.
_SETTINGS_KEYS = {
    "parameters": "Stable Diffusion web UI",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
}
#: What the settings of a sampler look like in the comment of any file, in the three codes writers use.
_SAMPLER = [("Steps: ".encode(code), "Sampler: ".encode(code)) for code in ("utf-8", "utf-16-le", "utf-16-be")]
#: Midjourney ends a description with its job.
_JOB = re.compile(r"\bJob ID: [0-9a-f]{8}-[0-9a-f]{4}-")


def declarations(embedded: EmbeddedMetadata) -> Iterator[Indication]:
    """Indications that the file itself declares, each once."""
    in_xmp, in_manifest = _source_types(embedded.xmp), _source_types(embedded.manifest)
    declared = _by_manifest(in_xmp, in_manifest)
    if (in_xmp | in_manifest) & _GENERATED:
        yield Indication(
            code="declared_generated", detail=f"The file says that software made the picture ({declared})."
        )
    if (in_xmp | in_manifest) & _SCREEN:
        detail = f"The file says that the picture was recorded from a screen ({declared})."
        yield Indication(code="declared_screen_capture", detail=detail)
    if _EDIT.search(embedded.manifest):
        detail = "The file says that the picture was edited (content credentials, not verified)."
        yield Indication(code="declared_edited", detail=detail)
    if program := _settings(embedded):
        detail = f"The file holds the settings of a picture generator: {program}."
        yield Indication(code="generator_settings", detail=detail)
    if embedded.from_social_network:
        detail = "The file has the mark of a picture downloaded from a social network."
        yield Indication(code="social_network_copy", detail=detail)


def _source_types(text: bytearray) -> set[str]:
    found = set[str]()
    for number, match in enumerate(_SOURCE_TYPE.finditer(text.lower())):
        if number == MAX_SOURCE_TYPES:
            break
        found.add(match[1].decode("ascii"))
    return found


def _by_manifest(in_xmp: set[str], in_manifest: set[str]) -> str:
    known = _GENERATED | _SCREEN
    return "content credentials, not verified" if in_manifest & known and not in_xmp & known else "XMP"


def _settings(embedded: EmbeddedMetadata) -> str:
    """Generator whose settings the file holds, by its name here; empty for none."""
    for keyword, text in embedded.texts:
        if program := _SETTINGS_KEYS.get(keyword.lower()):
            return program
        if _JOB.search(text):
            return "Midjourney"
    texts = (*(text for _, text in embedded.texts), *embedded.comments)
    blocks = (embedded.exif_block, bytes(embedded.xmp), *(text.encode("utf-8", "replace") for text in texts))
    return "Stable Diffusion" if any(_has_sampler(block) for block in blocks) else ""


def _has_sampler(block: bytes) -> bool:
    return any(steps in block and sampler in block for steps, sampler in _SAMPLER)
