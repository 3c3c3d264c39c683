"""What a record may carry for a picture: sizes at their exact edges, base64 in all its spellings, formats by magic."""

from __future__ import annotations

import base64
import hashlib

import pytest

from config.error_codes import ErrorCode
from config.policy import ImageLimits
from stream.events.messages import Rejected, Submission
from stream.pipeline.intake import check_image
from tests.unit.stream.builders import (
    IMAGE,
    OTHER_IMAGE,
    SECRET,
    bare,
    base64_of,
    binary,
    module,
    read,
    selfie,
    structured,
)

TEN_MIB = 10 * 1024 * 1024


def sized(size: int) -> bytes:
    return IMAGE[:4] + bytes(size - 4)


def refused(given, error, message=None):
    answer = read(given)
    assert isinstance(answer, Rejected), answer
    assert answer.error is error
    assert SECRET not in answer.message
    if message is not None:
        assert answer.message == message


@pytest.mark.parametrize("wrap", [lambda i: binary(i), lambda i: bare(image=base64_of(i))], ids=["raw", "base64"])
@pytest.mark.parametrize(
    ("size", "fits"),
    [(TEN_MIB - 2, True), (TEN_MIB - 1, True), (TEN_MIB, True)] + [(TEN_MIB + extra, False) for extra in (1, 2, 3, 4)],
)
def test_ten_mebibytes_and_not_one_byte_more(wrap, size, fits):
    given = wrap(sized(size))
    if fits:
        submission = read(given)
        assert isinstance(submission, Submission)
        assert len(submission.frames[0].image) == size
    else:
        refused(given, ErrorCode.IMAGE_TOO_LARGE, f"the image has more than {TEN_MIB} bytes")


def test_too_much_base64_is_not_even_decoded():
    refused(bare(image="%" * (TEN_MIB // 3 * 4 + 100)), ErrorCode.IMAGE_TOO_LARGE)


def test_the_limit_is_the_policy_s():
    limits = ImageLimits(max_bytes=len(IMAGE) - 1)
    for given in (binary(), bare()):
        answer = read(given, limits)
        assert isinstance(answer, Rejected)
        assert answer.error is ErrorCode.IMAGE_TOO_LARGE
    assert isinstance(read(bare(), ImageLimits(max_bytes=len(IMAGE))), Submission)


BLANK = "image is missing or blank"


@pytest.mark.parametrize("image", ["", " \n", ..., None, 5, 5.5, True, [], ["x"], {}, {"x": 1}, "data:;base64,"])
def test_an_image_that_is_none(image):
    refused(bare(image=image), ErrorCode.INVALID_REQUEST, BLANK)
    refused(structured(selfie(image=image)), ErrorCode.INVALID_REQUEST, BLANK)


@pytest.mark.parametrize("image", [b"", None])
def test_a_binary_event_without_a_picture(image):
    refused(binary(image), ErrorCode.INVALID_REQUEST, BLANK)


TEXT = base64.b64encode(b"\xff\xd8\xff\xfb\xef\xbe" * 20 + b"\x00").decode()  # has +, / and = in it


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:40] + "\n" + TEXT[40:],
        TEXT[:40] + " " + TEXT[40:],
        TEXT[:40] + "\x00" + TEXT[40:],
        TEXT.rstrip("="),
        TEXT + "=",
        TEXT + "====",
        TEXT[:-1],
        "=" + TEXT,
        TEXT.replace("/", "_").replace("+", "-"),
        "é" + TEXT,
        "＋" + TEXT,
        f"{SECRET}!",
        TEXT + TEXT,  # padding in the middle
        "DATA:image/jpeg;base64," + TEXT,
        "data:image/jpeg;base64, " + TEXT,
        "data:image/jpeg;base64,data:image/jpeg;base64," + TEXT,
        "0",
    ],
)
def test_base64_is_taken_at_its_word(text):
    refused(bare(image=text), ErrorCode.INVALID_REQUEST, "image is not valid base64")


@pytest.mark.parametrize("text", ["data:image/jpeg," + SECRET, "data:", "data:image/jpeg;base64", "data:;base64;x,AA"])
def test_a_data_url_without_base64(text):
    refused(bare(image=text), ErrorCode.INVALID_REQUEST, "image is a data URL without base64")


def test_the_text_the_tests_cut_at_is_sound_itself():
    assert {"+", "/", "="} <= set(TEXT)
    assert isinstance(read(bare(image=TEXT)), Submission)


@pytest.mark.parametrize(
    "image",
    [
        b"GIF89a" + bytes(20),
        b"%PDF-1.7 " + SECRET.encode(),
        b"\x00",
        b"\xff\xd8",
        b"II*\x00" + bytes(20),
        b"RIFF\x00\x00\x00\x00WAVE",
        b"BM and other words",
        b"\x89PNG",
        b"\x00\x00\x00\x1cftypheic" + bytes(20),
        SECRET.encode() * 10,
    ],
)
def test_only_four_formats_go_further(image):
    message = "the image is not a JPEG, PNG, WebP or BMP file"
    refused(binary(image), ErrorCode.UNSUPPORTED_FORMAT, message)
    refused(bare(image=base64_of(image)), ErrorCode.UNSUPPORTED_FORMAT, message)


@pytest.mark.parametrize(
    "image",
    [IMAGE, OTHER_IMAGE, b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"BM" + bytes(12) + b"\x28\x00\x00\x00" + bytes(30)],
)
def test_the_four_formats_by_their_magic(image):
    assert isinstance(read(binary(image, content_type=b"text/plain")), Submission)


@pytest.mark.parametrize("encrypted", [True, "true", "false", 1, 0, [], {}])
def test_an_encrypted_selfie_is_not_opened(encrypted):
    given = module(selfieImageEncryption=encrypted, selfieImage=SECRET)
    refused(given, ErrorCode.DECRYPTION_FAILED, "the selfie is encrypted and no key is configured")


@pytest.mark.parametrize("broken", ["context", "subject", "biometrics", "biometrics[0]", "selfieImage"])
@pytest.mark.parametrize("value", [None, [], {}, 5, "x"])
def test_a_module_envelope_with_a_hole(broken, value):
    biometrics = [value] if broken == "biometrics[0]" else [{"selfieImage": base64_of()}]
    subject = {"biometrics": value if broken == "biometrics" else biometrics}
    context = {"subject": value if broken == "subject" else subject}
    if broken == "selfieImage":
        refused(module(selfieImage=value), ErrorCode.INVALID_REQUEST)
        return
    data = {"resourceId": "sub-1", "context": value if broken == "context" else context}
    refused(
        structured(data, correlationid="0" * 32),
        ErrorCode.INVALID_REQUEST,
        "context.subject.biometrics[0].selfieImage is missing",
    )


@pytest.mark.parametrize("spelled", [str.lower, str.upper])
def test_the_digest_the_client_states_must_be_the_picture_s(spelled):
    digest = spelled(hashlib.sha256(IMAGE).hexdigest())
    assert isinstance(read(bare(image_sha256=digest)), Submission)
    assert isinstance(read(binary(imagesha256=digest)), Submission)
    wrong = spelled(hashlib.sha256(OTHER_IMAGE).hexdigest())
    message = "image_sha256 is not the digest of the image"
    refused(bare(image_sha256=wrong), ErrorCode.INVALID_REQUEST, message)
    refused(binary(imagesha256=wrong), ErrorCode.INVALID_REQUEST, message)


def test_the_check_before_sending_says_the_same():
    limits = ImageLimits()
    assert check_image(IMAGE, limits) is None
    for image, error in (
        (b"", ErrorCode.INVALID_REQUEST),
        (sized(TEN_MIB + 1), ErrorCode.IMAGE_TOO_LARGE),
        (b"GIF89a", ErrorCode.UNSUPPORTED_FORMAT),
    ):
        refusal = check_image(image, limits)
        assert refusal is not None
        assert refusal.error is error
