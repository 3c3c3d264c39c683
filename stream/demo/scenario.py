"""Acts of the demo, in order: every verdict and most error codes, each by a real picture or a real mistake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import orjson

from stream.demo import attacks, bad_inputs
from stream.embedded.broker import LARGEST_BYTES
from stream.events.message.messages import Output
from stream.events.wire.submissions import Form, NewSubmission, submission_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Record to send. `answered` is False for one that becomes a dead letter; `own` marks the user's picture."""

    title: str
    submission_id: str
    output: Output
    answered: bool = True
    own: bool = False


def astronaut() -> bytes:
    """The file of scikit-image's astronaut (Eileen Collins, NASA, public domain)."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("scikit-image, which ships the demo's portrait, is not installed: run make setup")
    return (Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png").read_bytes()


@cache
def _portrait() -> attacks.Photo:
    return attacks.portrait(attacks.decode(astronaut()))


def acts(topic: str, pictures: list[Path]) -> Iterator[Act]:
    """Acts of the whole demo; the user's own pictures come first."""
    for path in pictures:
        yield replace(_own(topic, path), own=True)
    yield from _photographs(topic)
    yield from _attacks(topic)
    yield from _bad_pictures(topic)
    yield from _bad_events(topic)
    yield from _brute_force(topic)


def _own(topic: str, path: Path) -> Act:
    """Act of a user's picture, scaled down if larger than the embedded broker can hold."""
    file = path.read_bytes()
    if len(file) <= LARGEST_BYTES:
        return _picture(topic, path.name, file)
    smaller = attacks.scaled_to_bytes(file, LARGEST_BYTES)
    if smaller is None:  # no picture at all: let the path say so
        return _picture(topic, f"{path.name} (its first {LARGEST_BYTES} bytes)", file[:LARGEST_BYTES])
    return _picture(topic, f"{path.name} (scaled down for the embedded broker)", smaller)


def _photographs(topic: str) -> Iterator[Act]:
    portrait = _portrait()
    yield _picture(topic, "astronaut portrait, as a camera stores it", attacks.camera_photo(portrait))
    yield _picture(topic, "the same photo, metadata stripped", attacks.without_metadata(portrait), Form.STRUCTURED)
    yield _picture(topic, "the same photo, small and heavily compressed", attacks.low_quality(portrait), Form.MODULE)


def _attacks(topic: str) -> Iterator[Act]:
    titles = {
        "edited photo": "edited, software named in EXIF: no capture",
        "screenshot": "a screenshot of it: no capture",
    }
    for name, make in attacks.ATTACKS.items():
        yield _picture(topic, titles.get(name, f"attack: {name}"), make(_portrait()))


def _bad_pictures(topic: str) -> Iterator[Act]:
    portrait = _portrait()
    yield _picture(topic, "two people", attacks.two_people(portrait))
    yield _picture(topic, "nobody", attacks.no_face(portrait))
    yield _picture(topic, "half a file", bad_inputs.truncated(attacks.camera_photo(portrait)))
    yield _picture(topic, "a document", bad_inputs.not_an_image())
    yield _picture(topic, "a PNG that promises gigabytes", bad_inputs.giant_png())
    yield _picture(topic, "a JPEG made to take seconds to decode, refused by its headers", bad_inputs.slow_jpeg())


def _bad_events(topic: str) -> Iterator[Act]:
    photo = attacks.camera_photo(_portrait())
    yield _object(topic, "a submission without an image", {})
    yield _object(topic, "an image that is not base64", {"image": "%%%"})
    yield _encrypted(topic)
    first = NewSubmission(image=photo)
    yield _act(topic, "a photo", first)
    yield _act(topic, "the same submission again: the same decision, byte for byte", first)
    other = NewSubmission(
        image=attacks.without_metadata(_portrait()),
        submission_id=first.submission_id,
        correlation_id=first.correlation_id,
    )
    yield _act(topic, "another picture under that submission id", other)
    garbage = Output(topic=topic, key=None, value=b"\xff\xfe not an event", headers=())
    yield Act(title="bytes that name no submission", submission_id="", output=garbage, answered=False)


def _brute_force(topic: str) -> Iterator[Act]:
    """Attack after attack under one correlation id; the policy pauses the id at the fifth."""
    attack, person = attacks.screen_replay(_portrait()), str(uuid.uuid4())
    optional = {"client_ip": "203.0.113.7", "device_id": "demo-device"}
    for attempt in range(1, 6):
        new = NewSubmission(image=attack, correlation_id=person, optional=optional)
        yield _act(topic, f"brute force: the same person's attack number {attempt}", new)
    photo = NewSubmission(image=attacks.camera_photo(_portrait()), correlation_id=person, optional=optional)
    yield _act(topic, "brute force: one more photo of that person, refused while a pause lasts", photo)


def _picture(topic: str, title: str, image: bytes, form: Form = Form.BINARY) -> Act:
    return _act(topic, title, NewSubmission(image=image), form)


def _act(topic: str, title: str, new: NewSubmission, form: Form = Form.BINARY) -> Act:
    return Act(title=title, submission_id=new.submission_id, output=submission_output(new, topic, form))


def _object(topic: str, title: str, fields: dict[str, str]) -> Act:
    ids = {"submission_id": str(uuid.uuid4()), "correlation_id": str(uuid.uuid4())}
    output = Output(topic=topic, key=ids["correlation_id"].encode(), value=orjson.dumps(ids | fields), headers=())
    return Act(title=title, submission_id=ids["submission_id"], output=output)


def _encrypted(topic: str) -> Act:
    name = str(uuid.uuid4())
    selfie = {"selfieImageEncryption": True, "selfieImage": "ZW5jcnlwdGVk"}
    envelope = {"resourceId": name, "context": {"subject": {"biometrics": [selfie]}}}
    output = Output(topic=topic, key=str(uuid.uuid4()).encode(), value=orjson.dumps(envelope), headers=())
    return Act(title="an encrypted selfie, no key configured", submission_id=name, output=output)
