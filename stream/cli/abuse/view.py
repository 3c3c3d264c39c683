"""Flags as people read them: one a line, or with their evidence."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from stream.cli.console import out, plain

_COLOUR = {"low": "dim", "medium": "yellow", "high": "red", "critical": "bold red"}


def line(event: dict[str, Any]) -> Text:
    """One flag, or one event of a flag, on one line."""
    subject, evidence = event["subject"], event["evidence"]
    return Text.assemble(
        (plain(event["flag_id"]), "bold"),
        f"  {plain(event['state']):<10} ",
        (f"{plain(event['severity']):<8} ", _COLOUR.get(event["severity"], "")),
        f"{'enforced' if event['enforced'] else 'shadow':<8} ",
        f"{plain(event['kind']):<19} ",
        f"{plain(subject['type'])}:{plain(subject['key'])}  ",
        (f"{evidence['used']:g} of {evidence['limit']:g} in {evidence['window_s']:d} s, ", "dim"),
        (f"last {plain(event['last_seen'])}", "dim"),
    )


def with_evidence(event: dict[str, Any]) -> None:
    """The line, what counted, who is linked, and what a reviewer said."""
    out.print(line(event))
    evidence, review, refusal = event["evidence"], event["review"], event["refusal"]
    for name, count in evidence["counts"].items():
        out.print(Text(f"    {plain(str(name))}: {plain(str(count))}"))
    if refusal is not None:
        words = f"{plain(refusal['kind'])} until {plain(refusal['until'])}"
        out.print(Text(f"    {words}", style="red") if event["enforced"] else Text(f"    would be {words}"))
    for linked in evidence["linked"]:
        out.print(
            Text(
                f"    {plain(linked['when'])}  {plain(linked['correlation_id'])}  "
                f"{plain(linked['submission'])}  {plain(linked['why'])}",
                style="dim",
            )
        )
    if review is not None:
        words = f"{review['at']} {event['state']} by {review['actor']}: {review['reason']} {review['note']}"
        out.print(Text(f"    {plain(words)}", style="cyan"))
    out.print(Text(f"    expires {plain(event['expires_at'])}", style="dim"))
