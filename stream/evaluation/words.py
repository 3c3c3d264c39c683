"""Words for an evaluation: the headline and the tables that text and HTML both show. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Title, columns, rows.
WordTable = tuple[str, Sequence[str], Sequence[Sequence[str]]]

CAUTION = (
    "Intervals are Clopper-Pearson at 95 %, as if pictures were independent; pictures of one source are not. "
    "These figures are of these pictures: measure on your own cameras, people and attacks."
)
#: Files named of those left out.
MOST_LEFT_OUT = 10


def tables(evaluated: Mapping[str, Any]) -> Iterator[WordTable]:
    """Tables in the order in which a reader needs them; empty ones are left out."""
    for title, columns, rows in _all(evaluated):
        if rows:
            yield title, columns, rows


def headline(evaluated: Mapping[str, Any]) -> list[str]:
    """Headline: the picture set, the policy, and the two rates that count."""
    summary, policy = evaluated["summary"], evaluated["policy"]
    lines = [
        f"{evaluated['set']}: {summary['pictures']} pictures, {summary['bona_fide']} bona fide, "
        f"{summary['attacks']} attacks of {len(evaluated['species'])} species, {summary['sources']} sources",
        f"policy {policy['name']} {policy['hash'][:12]}: LIVE from {policy['live_bound']:.2f}, "
        f"SPOOF below {policy['spoof_bound']:.2f}",
        f"APCER {rate(summary, 'apcer')}, highest of the species: {summary['apcer_species'] or 'no attacks'}",
        f"BPCER {rate(summary, 'bpcer')}",
    ]
    if summary["held_counts"][0]:
        held = rate(summary, "held")
        lines.append(
            f"of bona fide, floors, gates and the injection check of the policy hold back {held} at any threshold"
        )
    if summary["copies"]:
        lines.append(f"{summary['copies']} pictures are copies of others, byte for byte; each counts")
    return lines


def rate(figures: Mapping[str, Any], name: str) -> str:
    """Rate with interval and counts, in words."""
    if figures[name] is None:
        return "-"
    low, high = figures[f"{name}_interval"]
    count, of = figures[f"{name}_counts"]
    return f"{figures[name]:.1%} [{low:.1%}, {high:.1%}] ({count} of {of})"


def printable(text: str) -> str:
    """Text out of a picture set without characters that do something where the text is shown."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def area(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _all(evaluated: Mapping[str, Any]) -> Iterator[WordTable]:
    yield _verdicts(evaluated)
    yield _species(evaluated)
    yield _operating_points(evaluated)
    yield _sources(evaluated)
    yield _signals(evaluated)
    if evaluated["errors"]:
        yield "Non-responses", ("error", "pictures"), [(code, str(n)) for code, n in evaluated["errors"].items()]
    for label, title in (("attacks", "Attacks that look most live"), ("bona_fide", "Bona fide that look least live")):
        yield (
            title,
            ("picture", "species", "verdict", "confidence", "reasons"),
            [_worst(p) for p in evaluated["worst"][label]],
        )
    left_out = evaluated["left_out"]
    title = f"Left out: {len(left_out)}" + (f", the first {MOST_LEFT_OUT}" if len(left_out) > MOST_LEFT_OUT else "")
    yield title, ("file", "why"), [(each["path"], each["reason"]) for each in left_out[:MOST_LEFT_OUT]]


def _verdicts(evaluated: Mapping[str, Any]) -> WordTable:
    rows = [(name, *map(str, counts.values())) for name, counts in evaluated["verdicts"].items()]
    return "Verdicts", ("", "LIVE", "SPOOF", "INCONCLUSIVE", "non-response"), rows


def _species(evaluated: Mapping[str, Any]) -> WordTable:
    fixed = [f"at BPCER {point['bpcer_at_most']:.0%}" for point in evaluated["summary"]["apcer_at_bpcer"]]
    rows = [
        (
            name,
            rate(figures, "apcer"),
            *(share(point["apcer"]) for point in figures["apcer_at_bpcer"]),
            rate(figures, "apnrr"),
            area(figures["confidence_auc"]),
        )
        for name, figures in evaluated["species"].items()
    ]
    return "APCER by PAI species", ("species", "APCER", *fixed, "APNRR", "AUC"), rows


def _operating_points(evaluated: Mapping[str, Any]) -> WordTable:
    summary, policy = evaluated["summary"], evaluated["policy"]
    rows = [
        ("LIVE alone is bona fide", f"{policy['live_bound']:.4f}", rate(summary, "bpcer"), *_highest(summary)),
        ("INCONCLUSIVE too", f"{policy['spoof_bound']:.4f}", *_point(summary["at_spoof_bound"])),
    ]
    rows += [
        (f"BPCER at most {point['bpcer_at_most']:.0%}", f"{point['threshold']:.4f}", *_point(point))
        for point in summary["apcer_at_bpcer"]
        if point["threshold"] is not None
    ]
    return "Operating points", ("", "threshold", "BPCER", "highest APCER", "species"), rows


def _point(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    return rate(figures, "bpcer"), *_highest(figures)


def _highest(figures: Mapping[str, Any]) -> tuple[str, str]:
    return rate(figures, "apcer"), figures["apcer_species"] or "-"


def _sources(evaluated: Mapping[str, Any]) -> WordTable:
    rows = [
        (
            name,
            str(figures["bona_fide"]),
            rate(figures, "bpcer"),
            ", ".join(f"{species} {rate(rates, 'apcer')}" for species, rates in figures["species"].items()) or "-",
            str(figures["non_responses"]),
        )
        for name, figures in evaluated["sources"].items()
    ]
    return "Sources", ("source", "bona fide", "BPCER", "APCER", "non-responses"), rows


def _signals(evaluated: Mapping[str, Any]) -> WordTable:
    rows = [
        (
            figures["label"],
            f"{figures['weight']:.2f}",
            area(figures["auc"]),
            *(area(value) for value in figures["auc_by_species"].values()),
            str(figures["not_scored"]),
        )
        for figures in evaluated["signals"].values()
    ]
    return "AUC of the signals", ("signal", "weight", "all", *evaluated["species"], "not scored"), rows


def _worst(picture: Mapping[str, Any]) -> Sequence[str]:
    return (
        picture["path"],
        picture["species"] or "-",
        picture["verdict"],
        f"{picture['confidence']:.4f}",
        ", ".join(picture["reasons"]),
    )
