"""Sessions as text for people; never a token."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from stream.cli.console import plain, say
from stream.events.message.session_terms import LivenessMode

_WARNINGS = {"no_head_turn": "without a head turn nothing tells a flat picture from a face"}
_STYLE = {"succeeded": "green", "failed": "red", "expired": "dim", "cancelled": "dim", "running": "cyan"}


def line(session: dict[str, Any]) -> Text:
    """Session on one line."""
    attempts, state = session["attempts"], plain(session["state"])
    result = session["result"]
    score = ""
    if result is not None:
        score = f"  score {result['liveness_score']:g}, passes from {result['liveness_threshold']:d}"
    compared = {} if result is None else result.get("verification") or {}
    score += "" if compared.get("is_identical", True) else "  not the person of the reference image"
    asked = session.get("asks_challenges") and session["liveness_mode"] != LivenessMode.ACTIVE
    return Text.assemble(
        (plain(session["session_id"]), "bold"),
        "  ",
        (f"{state:<9}", _STYLE.get(state, "")),
        f"  {plain(session['liveness_mode']):<14}  attempts {attempts['used']:d}/{attempts['allowed']:d}{score}"
        f"  {plain(session['correlation_id'])}",
        f"  tenant {plain(session['tenant'])}" if session["tenant"] else "",
        ("  the challenges are asked for now", "cyan") if asked else "",
        (f"  expires {plain(session['expires_at'])}", "dim"),
    )


def change(event: dict[str, Any]) -> Text:
    """Change of a session on one line, with its time."""
    return Text.assemble((plain(event["at"]), "dim"), "  ", line(event))


def say_asked(event: dict[str, Any]) -> None:
    """Movements and colours that a session asks for, in their order."""
    if event["liveness_challenges"]:
        when = "" if event["asks_challenges"] else ", once the light is too strong for a single picture"
        say(plain(f"asks for {', '.join(event['liveness_challenges'])}{when}"))
    if light := event["light_challenge"]:
        say(plain(f"then shows {', '.join(light['colours'])}, each for {light['colour_ms']} ms"))
    for warning in event.get("warnings", ()):
        say(plain(f"warning: {_WARNINGS.get(warning, warning)}"))


def refused(refusal: dict[str, Any]) -> Text:
    error = refusal["error"]
    words = f"{refusal['at']}  {refusal['command']} {refusal['command_id']} refused: {error['code']}"
    return Text(plain(words), style="yellow")


def say_risk(event: dict[str, Any]) -> None:
    if event["retry_count"]:
        say(f"{event['retry_count']} submissions of this correlation id within the last hour")
    for flag in event["open_flags"]:
        say(plain(f"open flag: {flag['kind']} ({flag['severity']}) since {flag['since']}"))
