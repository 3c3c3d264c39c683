"""Session tokens at intake: taken along where sessions are configured, and refused by name where not."""

from __future__ import annotations

import pytest

from config.limits.capture import ImageLimits
from stream.events.message.messages import Rejected, Submission
from stream.pipeline.intake import intake
from stream.pipeline.intake.submission_fields import MAX_TOKEN
from tests.unit.stream.builders import SECRET, bare, binary, rejected, structured


@pytest.mark.parametrize("given", [bare(session_token=SECRET), binary(sessiontoken=SECRET)], ids=["object", "header"])
def test_token_is_taken_along(given):
    read = intake.read(given, ImageLimits(), sessions=True)
    assert isinstance(read, Submission)
    assert read.session_token == SECRET
    assert SECRET not in repr(read)


def test_token_without_sessions_is_refused_by_name():
    answer = rejected(bare(session_token=SECRET))
    assert answer.message == "this service can't do what these fields ask for: session_token"


@pytest.mark.parametrize("token", [5, ["x"], "x" * (MAX_TOKEN + 1)], ids=["number", "list", "long"])
def test_malformed_token_is_refused_by_name(token):
    read = intake.read(bare(session_token=token), ImageLimits(), sessions=True)
    assert isinstance(read, Rejected)
    assert read.message == "missing or malformed: session_token"


def test_token_is_no_part_of_the_fingerprint():
    """The same picture with a newer token is the same submission."""
    one, two = (intake.read(bare(session_token=token), ImageLimits(), sessions=True) for token in ("a", "b"))
    assert isinstance(one, Submission)
    assert isinstance(two, Submission)
    assert one.fingerprint == two.fingerprint


def test_structured_event_has_its_token():
    read = intake.read(
        structured(
            {"image": "/9j/4AAQ"},
            subject="sub-1",
            correlationid="0f8fad5b-d9cb-469f-a165-70867728950e",
            sessiontoken=SECRET,
        ),
        ImageLimits(),
        sessions=True,
    )
    assert isinstance(read, Submission)
    assert read.session_token == SECRET
