"""Pictures in a record: sizes at their exact edges, spellings of base64, formats by magic."""

from __future__ import annotations

import base64
import hashlib

import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from stream.events.message.messages import Rejected, Submission
from stream.pipeline.intake.intake import check_image
from tests.unit.stream.builders import (
    IMAGE,
    OTHER_IMAGE,
    SECRET,
    bare,
    base64_of,
    binary,
    module,
    read,
    rejected,
    selfie,
    structured,
)

TEN_MIB = 10 * 1024 * 1024


def sized(size: int) -> bytes:
    return IMAGE[:4] + bytes(size - 4)


WRAPS = [binary, lambda image: bare(image=base64_of(image))]


@pytest.mark.parametrize("wrap", WRAPS, ids=["raw", "base64"])
@pytest.mark.parametrize("beyond", range(-2, 5))
def test_ten_mebibytes_at_most(wrap, beyond):
    given = wrap(sized(TEN_MIB + beyond))
    if beyond <= 0:
        submission = read(given)
        assert isinstance(submission, Submission)
        assert len(submission.frames[0].image) == TEN_MIB + beyond
    else:
        rejected(given, ErrorCode.IMAGE_TOO_LARGE, f"the image has more than {TEN_MIB} bytes")


def test_long_base64_not_decoded():
    rejected(bare(image="%" * (TEN_MIB // 3 * 4 + 100)), ErrorCode.IMAGE_TOO_LARGE)


def test_limit_of_policy():
    for given in (binary(), bare()):
        answer = read(given, ImageLimits(max_bytes=len(IMAGE) - 1))
        assert isinstance(answer, Rejected)
        assert answer.error is ErrorCode.IMAGE_TOO_LARGE
        assert isinstance(read(given, ImageLimits(max_bytes=len(IMAGE))), Submission)


NO_IMAGE = ("", " \n", ..., None, 5, 5.5, True, [], ["x"], {}, {"x": 1}, "data:;base64,")


@pytest.mark.parametrize(
    "given",
    [
        *(bare(image=image) for image in NO_IMAGE),
        *(structured(selfie(image=image)) for image in NO_IMAGE),
        *(binary(image) for image in (b"", None)),
    ],
)
def test_no_image(given):
    rejected(given, ErrorCode.INVALID_REQUEST, "image is missing or blank")


TEXT = base64.b64encode(b"\xff\xd8\xff\xfb\xef\xbe" * 20 + b"\x00").decode()  # has +, / and = in it


JPEG_URL = "data:image/jpeg;base64,"
NO_BASE64 = [
    *(TEXT[:40] + "\x00" + TEXT[40:], TEXT + "=", TEXT + "====", "=" + TEXT, TEXT + TEXT),
    *("é" + TEXT, "＋" + TEXT, f"{SECRET}!", "0", JPEG_URL * 2 + TEXT),
]
NO_DATA_URL = ["data:image/jpeg," + SECRET, "data:", "data:image/jpeg;base64", "data:;base64;x,AA"]


@pytest.mark.parametrize("text", [*NO_BASE64, *NO_DATA_URL])
def test_invalid_base64(text):
    """No NUL, no extra padding, no third alphabet."""
    assert isinstance(read(bare(image=TEXT)), Submission), "what they are made of is valid"
    message = "image is not valid base64" if text in NO_BASE64 else "image is a data URL without base64"
    rejected(bare(image=text), ErrorCode.INVALID_REQUEST, message)


OTHER_FORMATS = [
    *(b"GIF89a" + bytes(20), b"%PDF-1.7 " + SECRET.encode(), b"\x00", b"\xff\xd8", b"II*\x00" + bytes(20)),
    *(b"RIFF\x00\x00\x00\x00WAVE", b"BM and other words", b"\x89PNG", SECRET.encode() * 10),
    b"\x00\x00\x00\x1cftypheic" + bytes(20),
]
FORMATS = [IMAGE, OTHER_IMAGE, b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"BM" + bytes(12) + b"\x28\x00\x00\x00" + bytes(30)]


@pytest.mark.parametrize("image", OTHER_FORMATS)
@pytest.mark.parametrize("wrap", WRAPS, ids=["raw", "base64"])
def test_other_formats_rejected(wrap, image):
    rejected(wrap(image), ErrorCode.UNSUPPORTED_FORMAT, "the image is not a JPEG, PNG, WebP or BMP file")


@pytest.mark.parametrize("image", FORMATS)
def test_four_formats_by_magic(image):
    assert isinstance(read(binary(image, content_type=b"text/plain")), Submission)


@pytest.mark.parametrize("encrypted", [True, "true", "false", 1, 0, [], {}])
def test_encrypted_selfie(encrypted):
    given = module(selfieImageEncryption=encrypted, selfieImage=SECRET)
    rejected(given, ErrorCode.DECRYPTION_FAILED, "the selfie is encrypted and no key is configured")


@pytest.mark.parametrize("broken", ["context", "subject", "biometrics", "biometrics[0]"])
@pytest.mark.parametrize("value", [None, [], {}, 5, "x"])
def test_incomplete_module_envelope(broken, value):
    biometrics = [value] if broken == "biometrics[0]" else [{"selfieImage": base64_of()}]
    subject = {"biometrics": value if broken == "biometrics" else biometrics}
    context = {"subject": value if broken == "subject" else subject}
    data = {"resourceId": "sub-1", "context": value if broken == "context" else context}
    missing = "context.subject.biometrics[].selfieImage is missing"
    rejected(structured(data, correlationid="0" * 32), ErrorCode.INVALID_REQUEST, missing)


@pytest.mark.parametrize("value", [None, [], {}, 5, "x"])
def test_module_without_selfie(value):
    rejected(module(selfieImage=value), ErrorCode.INVALID_REQUEST)


@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_stated_digest_is_checked(spelled):
    digest = spelled(hashlib.sha256(IMAGE).hexdigest())
    wrong = spelled(hashlib.sha256(OTHER_IMAGE).hexdigest())
    for wrap in (lambda stated: bare(image_sha256=stated), lambda stated: binary(imagesha256=stated)):
        assert isinstance(read(wrap(digest)), Submission)
        rejected(wrap(wrong), ErrorCode.INVALID_REQUEST, "image_sha256 is not the digest of the image")


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (IMAGE, None),
        (b"", ErrorCode.INVALID_REQUEST),
        (sized(TEN_MIB + 1), ErrorCode.IMAGE_TOO_LARGE),
        (b"GIF89a", ErrorCode.UNSUPPORTED_FORMAT),
    ],
    ids=["sound", "empty", "too large", "of another format"],
)
def test_check_image(image, error):
    refusal = check_image(image, ImageLimits())
    assert (refusal and refusal.error) == error
