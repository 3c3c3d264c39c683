"""Sessions from settings: off without keys, and refused at the start with a key that isn't there."""

from __future__ import annotations

import orjson
import pytest

from config.errors import SettingsError
from config.groups.authentication import SessionSettings
from config.settings import Settings
from stream.bootstrap.sessions import SessionParts, open_session_keys, open_session_store
from stream.encryption.reviewer_keys import new_signing_key
from stream.pipeline.admission.session_gate import NO_SESSIONS
from tests.unit.stream.sessions.builders import session_record


def parts(**given):
    settings = Settings(sessions=SessionSettings(**given))
    keys = open_session_keys(settings)
    store = open_session_store(settings, None)
    return SessionParts(settings=settings, policy=settings.policy(), store=store, keys=keys, hasher=None)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "k1.json").write_bytes(orjson.dumps(new_signing_key("k1").key.as_dict(private=True)))
    return tmp_path


def test_off_without_keys():
    off = parts()
    assert (off.gate, off.desk(None, None), off.background_tasks) == (NO_SESSIONS, None, [])


def test_on_with_keys(folder):
    desk = parts(keys=folder, attempts=3, token_lifetime_s=120, require_head_turn=True).desk(None, None)
    assert desk is not None
    fallback = desk.fallback
    assert (fallback.attempts, fallback.token_lifetime_s, fallback.require_head_turn) == (3, 120, True)
    token = desk.tokens.sign(session_record().claims, desk.tokens.signing_kid)
    assert desk.tokens.claims(token, session_record().created_s * 1000) == session_record().claims
    assert len(parts(keys=folder).background_tasks) == 1


def test_key_that_is_not_there(folder, tmp_path):
    with pytest.raises(SettingsError, match=r"sessions\.signing_key"):
        parts(keys=folder, signing_key="k2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"sessions\.keys"):
        parts(keys=tmp_path / "empty")


@pytest.mark.parametrize("given", [{"required": True}, {"stop_kinds": ("nobody",)}, {"attempts": 4}])
def test_settings_that_can_not_work(given):
    with pytest.raises(ValueError, match=r"required|stop_kinds|attempts"):
        SessionSettings(**given)
