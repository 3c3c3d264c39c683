"""A worker makes the matrices of its hash keys once."""

from __future__ import annotations

from abuse.faces.template_protection import TemplateProtection
from config.groups.abuse_table import AbuseSettings
from config.settings import Settings
from stream.bootstrap import decide_role, detect_role
from stream.bootstrap.worker import build_worker


def test_both_stages_have_the_same(monkeypatch):
    given: list[TemplateProtection | None] = []
    for role, name in ((detect_role, "mark_keys"), (decide_role, "open_reuse")):
        made = getattr(role, name)

        def seen(*parts, made=made):
            given.append(parts[-1])
            return made(*parts)

        monkeypatch.setattr(role, name, seen)
    keys = AbuseSettings(hash_keys=({"id": "k1", "secret": "1" * 32},))
    build_worker(Settings(abuse=keys))
    assert isinstance(given[0], TemplateProtection)
    assert given[0] is given[1]
