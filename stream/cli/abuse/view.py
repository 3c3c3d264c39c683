"""Flags, clusters and reviews as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from abuse.flags.flags import FlagState
from stream.cli.console import out, plain

_COLOUR = {"low": "dim", "medium": "yellow", "high": "red", "critical": "bold red"}
#: States in which a flag refuses no submission, enforced or not.
_OVER = (FlagState.OVERRIDDEN, FlagState.EXPIRED)


def line(event: dict[str, Any]) -> Text:
    """Flag, or event of a flag, on one line."""
    return Text.assemble(
        (plain(event["flag_id"]), "bold"),
        f"  {plain(event['state']):<10} ",
        (f"{plain(event['severity']):<8} ", _COLOUR.get(event["severity"], "")),
        f"{'-' if event['state'] in _OVER else 'enforced' if event['enforced'] else 'shadow':<8} ",
        f"{plain(event['kind']):<19} ",
        f"{_subject(event['subject'])}{of_tenant(event)}  ",
        (f"{_used(event['evidence'])}, ", "dim"),
        (f"last {plain(event['last_seen'])}", "dim"),
    )


def of_tenant(document: Mapping[str, Any]) -> str:
    """Tenant of a document; empty for none."""
    return f"  tenant {plain(document['tenant'])}" if document["tenant"] else ""


def _subject(subject: Mapping[str, Any]) -> str:
    return f"{plain(subject['type'])}:{plain(subject['key'])}"


def _used(evidence: Mapping[str, Any]) -> str:
    """Count and limit of the evidence; without a window the points of a listed network."""
    if evidence["window_s"] == 0:
        return f"{evidence['used']:g} points, flagged from {evidence['limit']:g}"
    return f"{evidence['used']:g} of {evidence['limit']:g} in {evidence['window_s']:d} s"


def with_evidence(event: dict[str, Any]) -> None:
    """Flag printed with refusal, review, expiry, counts and linked submissions."""
    out.print(line(event))
    evidence, review, refusal = event["evidence"], event["review"], event["refusal"]
    if refusal is not None:
        words = f"{plain(refusal['kind'])} until {plain(refusal['until'])}"
        out.print(Text(f"  {words}", style="red") if event["enforced"] else Text(f"  would be {words}"))
    if review is not None:
        words = f"{review['at']} {event['state']} by {review['actor']}: {review['reason']} {review['note']}"
        out.print(Text(f"  {plain(words)}", style="cyan"))
    out.print(Text(f"  expires {plain(event['expires_at'])}", style="dim"))
    if evidence["counts"] or evidence["linked"]:
        out.print(Text("  evidence:"))
    for name, count in evidence["counts"].items():
        out.print(Text(f"    {plain(str(name))}: {plain(str(count))}"))
    for linked in evidence["linked"]:
        words = "  ".join(plain(linked[name]) for name in ("when", "correlation_id", "submission", "why"))
        out.print(Text(f"    {words}", style="dim"))


def cluster(document: Mapping[str, Any]) -> None:
    """Cluster printed link by link; nothing without links."""
    ids = document["correlation_ids"]
    if not document["links"]:
        return
    out.print(Text(f"cluster of {len(ids)} correlation ids{'' if document['whole'] else ', and more'}:"))
    for link in document["links"]:
        earlier, later = link["ends"]
        words = f"{later['when']}  {link['kind']} at {link['distance']:g} (up to {link['threshold']:g})"
        out.print(Text(f"  {plain(words)}", style="dim"))
        for end in (earlier, later):
            out.print(Text(f"    {plain(end['correlation_id'])}  {plain(end['submission'])}", style="dim"))


def changes(changed: Mapping[str, Any], switched_for: str = "", *, brief: bool = False) -> Iterator[Text]:
    """Changes of a command from its audit entry; `brief` leaves the places that keep data out of a receipt.

    Raises KeyError, TypeError or AttributeError for an entry that no worker wrote.
    """
    for flag in (*changed.get("flags", ()), *changed.get("linked", ()), *changed.get("rescored", ())):
        words = f"{flag['flag_id']}  {flag['from']} -> {flag['to']}  {flag['kind']}  {_subject(flag['subject'])}"
        yield Text(plain(words))
    if "cleared" in changed and not changed["flags"]:
        yield Text(f"cleared: {_subject(changed['cleared'])}")
    for flag_id in changed.get("still_open", ()):
        yield Text(f"still open on the same subject: {plain(flag_id)}", style="yellow")
    if "new_correlation_id" in changed:
        yield Text(f"new correlation id: {plain(changed['new_correlation_id'])}", style="bold")
    if "after" in changed:
        yield Text(plain(f"switched: {_switches(changed['after'])}") + switched_for)
    if "session_id" in changed:
        yield Text(plain(f"session {changed['session_id']}{' -> cancelled' if 'to' in changed else ''}"))
    if "erased" in changed:
        yield from _receipt(changed, brief)


def _switches(after: Mapping[str, Mapping[str, Any]]) -> str:
    """Switches of rules, and defaults of sessions, in words."""
    return "; ".join(
        f"{name}: {', '.join(f'{field} {_word(value)}' for field, value in fields.items())}"
        for name, fields in after.items()
    )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _receipt(changed: Mapping[str, Any], brief: bool) -> Iterator[Text]:
    """Receipt of an erasure: removed counts, and what remains until when."""
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in changed["erased"].items())
    yield Text(plain(f"erased: {counts}"), style="bold")
    if brief:
        yield Text(f"kept in {len(changed['kept'])} places (--json says which)")
        return
    for kept in changed["kept"]:
        until = "for ever" if kept["until"] is None else f"until {kept['until']}"
        yield Text(plain(f"kept {until}: {kept['store']}"), style="dim")
