"""Encrypted selfies at intake: every form of a submission, one answer for all that can't be opened."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace

import orjson
import pytest

from config.catalogues.error_codes import ErrorCode
from config.limits.capture import ImageLimits
from detectors.contract import Frame
from stream.encryption import jwe
from stream.encryption.key_folder import KeyFolder
from stream.events.message.messages import Refusal, Rejected, Submission
from stream.events.wire.detection_codec import decode_detection
from stream.events.wire.submissions import Form, NewSubmission, submission_output
from stream.pipeline.intake import intake
from tests.unit.stream.builders import GUID, IMAGE, OTHER_IMAGE, bare, base64_of, binary, module, record, structured
from tests.unit.stream.encryption.keys import RSA, key, write
from tests.unit.stream.encryption.test_jwe import refusals
from tests.unit.stream.fakes import FakeAnalyser, Pipeline

NOT_OPENED = "the encrypted selfie can't be decrypted with the keys here"
JOSE = "application/jose"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys")
    for made in (key("a", RSA), key("e")):
        write(path, made)
    folder = KeyFolder(path)
    folder.open()
    return folder


def sealed(image=IMAGE, made=None):
    return jwe.encrypt(image, made or key("e")).decode()


def twice(text):
    return base64.b64encode(text.encode()).decode()


def cli_form(form):
    new = NewSubmission(image=sealed().encode(), encrypted=True, submission_id="sub-1", correlation_id=GUID)
    output = submission_output(new, "liveness.submissions", form)
    return record(output.value, output.headers, output.key)


FORMS = {
    "module": lambda: module(selfieImageEncryption=True, selfieImage=sealed()),
    "module, base64": lambda: module(selfieImageEncryption=True, selfieImage=twice(sealed())),
    "module, not flagged": lambda: module(selfieImage=sealed()),
    "bare": lambda: bare(image=sealed(), image_encryption="JWE"),
    "bare, true": lambda: bare(image=sealed(), image_encryption=True),
    "bare, base64": lambda: bare(image=twice(sealed()), image_encryption="JWE"),
    "bare, data URL": lambda: bare(image=f"data:{JOSE};base64,{twice(sealed())}", image_encryption="JWE"),
    "bare, not flagged": lambda: bare(image=f" {sealed()}\n", image_encryption="JWE"),
    "structured": lambda: structured(orjson.loads(bare(image=sealed()).value), imageencryption="JWE"),
    "structured, text": lambda: structured(sealed(), subject="sub-1", correlationid=GUID, datacontenttype=JOSE),
    "structured, data_base64": lambda: structured(subject="sub-1", correlationid=GUID, data_base64=twice(sealed())),
    "binary": lambda: binary(sealed().encode(), content_type=b"application/jose"),
    "binary, type lost": lambda: binary(sealed().encode(), content_type=b"application/json"),
    "binary, RSA": lambda: binary(sealed(made=key("a", RSA)).encode(), content_type=b"application/jose"),
    **{f"submit --form {form}": (lambda form=form: cli_form(form)) for form in Form},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(keys, form):
    """Same submission as unencrypted, fingerprint included: two encryptions of a picture are one content."""
    read = intake.read(FORMS[form](), ImageLimits(), keys)
    assert isinstance(read, Submission), read
    assert read.frames == (Frame(IMAGE),)
    assert read.encrypted  # judged by the two flags
    plain = module() if "module" in form else bare()
    assert read.fingerprint == intake.read(plain, ImageLimits()).fingerprint


@pytest.mark.parametrize("wrong", [*refusals(), "a plain picture", "a plain picture, binary", "no base64", "a list"])
def test_one_answer(keys, wrong):
    given = {
        "a plain picture": bare(image=base64_of(), image_encryption="JWE"),
        "a plain picture, binary": binary(IMAGE, content_type=b"application/jose"),
        "no base64": module(selfieImageEncryption=True, selfieImage="%%%"),
        "a list": module(selfieImageEncryption=True, selfieImage=[1]),
    }
    given = given.get(wrong) or binary(refusals()[wrong], content_type=b"application/jose")
    read = intake.read(given, ImageLimits(), keys)
    assert isinstance(read, Rejected), read
    assert (read.error, read.message) == (ErrorCode.DECRYPTION_FAILED, NOT_OPENED)


class Counted:
    """Keys that count how often they are asked."""

    def __init__(self, keys):
        self.keys, self.threads = keys, []

    def decrypt(self, compact):
        self.threads.append(threading.current_thread())
        return self.keys.decrypt(compact)


LIMIT = 300_000


@pytest.mark.parametrize("form", ["compact", "base64", "long header"])
def test_too_large_is_not_decrypted(keys, form):
    compact = sealed(IMAGE + bytes(LIMIT))
    if form == "long header":
        compact = f"eyJ{'A' * LIMIT * 2}.A.A.A.A"
    asked = Counted(keys)
    given = bare(image=twice(compact) if form == "base64" else compact, image_encryption="JWE")
    read = intake.read(given, ImageLimits(max_bytes=LIMIT), asked)
    assert (read.error, asked.threads) == (ErrorCode.IMAGE_TOO_LARGE, [])
    small = bare(image=sealed(IMAGE), image_encryption="JWE")
    assert isinstance(intake.read(small, ImageLimits(max_bytes=LIMIT), asked), Submission)
    assert len(asked.threads) == 1


GATES = {
    "digest": (bare(image=..., image_sha256="0" * 64), IMAGE, ErrorCode.INVALID_REQUEST),
    "format": (bare(image=...), b"GIF89a" + bytes(60), ErrorCode.UNSUPPORTED_FORMAT),
    "nothing": (bare(image=...), b"", ErrorCode.INVALID_REQUEST),
    "base64 inside": (bare(image=...), base64_of().encode(), ErrorCode.UNSUPPORTED_FORMAT),
    "once more encrypted": (bare(image=...), sealed().encode(), ErrorCode.UNSUPPORTED_FORMAT),
}


@pytest.mark.parametrize("gate", GATES)
def test_same_gates_as_others(keys, gate):
    """The content of a JWE is a picture file or refused; `image_sha256` is that of the picture."""
    given, content, error = GATES[gate]
    fields = {**orjson.loads(given.value), "image": sealed(content)}
    read = intake.read(record(orjson.dumps(fields)), ImageLimits(), keys)
    assert isinstance(read, Rejected)
    assert read.error is error


@pytest.mark.parametrize("said", ["AES", 5, ["JWE"], {}])
def test_other_encryption_refused_by_name(keys, said):
    read = intake.read(bare(image_encryption=said), ImageLimits(), keys)
    assert (read.error, read.message) == (ErrorCode.INVALID_REQUEST, "missing or malformed: image_encryption")


@pytest.mark.parametrize("said", [None, "", False])
def test_not_encrypted(keys, said):
    assert isinstance(intake.read(bare(image_encryption=said), ImageLimits(), keys), Submission)


@pytest.mark.parametrize("image", [None, "", " "])
def test_missing_picture_is_said_as_such(keys, image):
    read = intake.read(bare(image=image, image_encryption="JWE"), ImageLimits(), keys)
    assert (read.error, read.message) == (ErrorCode.INVALID_REQUEST, "image is missing or blank")


async def test_decrypted_off_the_event_loop(keys):
    asked = Counted(keys)
    pipeline = Pipeline(FakeAnalyser())
    pipeline.detect_stage = replace(pipeline.detect_stage, keys=asked)
    await pipeline.detect(binary(sealed(OTHER_IMAGE).encode(), content_type=b"application/jose"))
    assert pipeline.analyser.pictures == [OTHER_IMAGE]
    assert asked.threads != []
    assert threading.main_thread() not in asked.threads


async def test_no_key_configured():
    (output,) = await Pipeline(FakeAnalyser()).detect(binary(sealed().encode(), content_type=b"application/jose"))
    finding = decode_detection(output.value).finding
    said = "the selfie is encrypted and no key is configured"
    assert finding == Refusal(error=ErrorCode.DECRYPTION_FAILED, message=said)
