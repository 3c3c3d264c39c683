"""Comparison of two policies on one picture set: error rates side by side, and the verdicts that turn. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stream.evaluation.figures import Document
from stream.evaluation.picture_set import PresentationLabel
from stream.evaluation.words import WordTable, rate
from stream.pipeline.verdict.verdict import VerdictKind

#: Pictures named in text; JSON has all.
MOST_NAMED = 50
#: The classifications as bona fide and as an attack; a presentation whose verdict turns towards its own is `mended`.
_RIGHT = {PresentationLabel.BONA_FIDE: VerdictKind.LIVE, PresentationLabel.ATTACK: VerdictKind.SPOOF}
_ORDER = (VerdictKind.SPOOF, VerdictKind.INCONCLUSIVE, VerdictKind.LIVE)


def comparison(a: Document, b: Document) -> Document:
    """Comparison of the documents of two policies; both are of the same pictures in the same order."""
    pairs = zip(a["pictures"], b["pictures"], strict=True)
    turned = [_turned(one, other) for one, other in pairs if _verdict(one) != _verdict(other)]
    return {
        "set": a["set"],
        "a": {name: part for name, part in a.items() if name != "pictures"},
        "b": {name: part for name, part in b.items() if name != "pictures"},
        "turns": [
            {"label": label, "species": species, "a": before, "b": after, "mended": mended, "pictures": count}
            for (label, species, before, after, mended), count in _counted(turned).items()
        ],
        "turned": turned,
    }


def comparison_headline(compared: Mapping[str, Any]) -> list[str]:
    turned = compared["turned"]
    mended = sum(each["mended"] for each in turned)
    pictures = compared["a"]["summary"]["pictures"]
    policies = [
        f"{name.upper()} {compared[name]['policy']['name']} {_short_hash(compared, name)}" for name in ("a", "b")
    ]
    return [
        f"{compared['set']}: policies {' and '.join(policies)}",
        f"{len(turned)} of {pictures} verdicts turn: {mended} for the better, {len(turned) - mended} for the worse",
    ]


def comparison_tables(compared: Mapping[str, Any]) -> Iterator[WordTable]:
    """Tables of a comparison: rates side by side, turns by kind, and the first pictures whose verdict turns."""
    yield "Error rates", ("", "A", "B"), _rates(compared)
    if not compared["turned"]:
        return
    columns = ("label", "species", "A", "B", "pictures", "")
    yield "Turns", columns, [(*_turn(each), str(each["pictures"]), _better(each)) for each in compared["turns"]]
    rows = [
        (
            each["path"],
            *_turn(each),
            _confidence(each["confidences"][0]),
            _confidence(each["confidences"][1]),
            _better(each),
        )
        for each in compared["turned"][:MOST_NAMED]
    ]
    left = len(compared["turned"]) - len(rows)
    title = "Pictures whose verdict turns" + (f", {left} more in JSON" if left else "")
    yield title, ("picture", "label", "species", "A", "B", "confidence A", "confidence B", ""), rows


def _verdict(picture: Document) -> tuple[str, str | None]:
    """Verdict, with the error of a non-response: these are never the same as a verdict without one."""
    return picture["verdict"], picture["error"]


def _turned(a: Document, b: Document) -> Document:
    return {
        **{name: a[name] for name in ("path", "label", "species", "source")},
        "a": a["error"] or a["verdict"],
        "b": b["error"] or b["verdict"],
        "confidences": [a["confidence"], b["confidence"]],
        "mended": _distance(b) < _distance(a),
    }


def _distance(picture: Document) -> int:
    """Steps from the right verdict; a non-response is as far as INCONCLUSIVE."""
    return abs(_ORDER.index(picture["verdict"]) - _ORDER.index(_RIGHT[picture["label"]]))


def _counted(turned: list[Document]) -> dict[tuple[Any, ...], int]:
    kinds = Counter((t["label"], t["species"], t["a"], t["b"], t["mended"]) for t in turned)
    return dict(sorted(kinds.items(), key=lambda kind: (-kind[1], str(kind[0]))))


def _rates(compared: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    a, b = compared["a"], compared["b"]
    rows = [("BPCER", rate(a["summary"], "bpcer"), rate(b["summary"], "bpcer"))]
    rows += [
        (f"APCER, {name}", rate(figures, "apcer"), rate(b["species"][name], "apcer"))
        for name, figures in a["species"].items()
    ]
    return rows


def _turn(each: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return each["label"], each["species"] or "-", each["a"], each["b"]


def _better(each: Mapping[str, Any]) -> str:
    return "better" if each["mended"] else "worse"


def _confidence(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short_hash(compared: Mapping[str, Any], name: str) -> str:
    return str(compared[name]["policy"]["hash"])[:12]
