"""Digest of a submission's picture: made once at intake, of the file however it was sent."""

from __future__ import annotations

import hashlib

import pytest

from tests.unit.stream.builders import IMAGE, bare, base64_of, binary, module, read, selfie, structured


@pytest.mark.parametrize(
    "sent",
    [
        binary(IMAGE),
        bare(image=base64_of(IMAGE)),
        module(image=base64_of(IMAGE)),
        structured(selfie(image=base64_of(IMAGE))),
    ],
    ids=["raw", "base64", "module", "structured"],
)
def test_digest_is_of_the_file(sent):
    found = read(sent)
    assert (bytes(found.frames[0].image), found.image_sha256) == (IMAGE, hashlib.sha256(IMAGE).hexdigest())
