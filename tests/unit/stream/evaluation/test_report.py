"""The HTML report: plots where the figures say, and nothing that a browser would load or run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from config.catalogues.error_codes import ErrorCode
from config.policy import Policy
from stream.evaluation.figures import document
from stream.evaluation.judged import judged
from stream.evaluation.picture_set import LeftOutFile
from stream.evaluation.plots import det_plot, score_plot
from stream.evaluation.report import page
from tests.unit.stream.evaluation.builders import analysed

HOSTILE = "</title><script src=//evil>\x1b[31m&\"'"
VOID = {"meta"}


def evaluated(*each: Any) -> dict[str, Any]:
    return document(HOSTILE, judged(each, Policy()), Policy(), [LeftOutFile(HOSTILE, "no picture")])


class Elements(HTMLParser):
    """Elements of a page, each closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_narrow_and_dark_screens() -> None:
    """Plots and tables scroll by themselves instead of shrinking or breaking words, and no text has a colour of its
    own."""
    text = page(evaluated(analysed("p", 0.7), analysed("a", 0.6, "print"), analysed("b" * 60, 0.6, "print")))
    seen = Elements(text).seen
    scrolling = {after for (tag, found), (after, _) in pairwise(seen) if tag == "div" and found == {"class": "wide"}}
    assert scrolling == {"table", "svg"}
    assert [tag for tag, _ in seen].count("div") == sum(tag in ("table", "svg") for tag, _ in seen)
    assert 'name="viewport"' in text
    assert "color-scheme:light dark" in text
    assert not re.findall(r'"#(?:222|000000|ccc)"|[{;]color:', text)
    assert text.count('<td class="long">' + "b" * 60) == 1


def test_nothing_is_loaded_or_run() -> None:
    """Names come from files and folders of strangers."""
    figures = evaluated(
        analysed(HOSTILE, 0.7, source=HOSTILE),
        analysed(f"{HOSTILE} attack", 0.6, HOSTILE, HOSTILE),
        analysed("none", ErrorCode.NO_FACE_DETECTED, HOSTILE),
    )
    text = page(figures)
    elements = Elements(text)
    assert elements.open == []
    assert {tag for tag, _ in elements.seen} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "table", "tr", "th", "td"),
        *("svg", "path", "line", "rect", "circle", "text"),
    }
    names = {name for _, attributes in elements.seen for name in attributes}
    assert not {name for name in names if name.startswith("on") or "href" in name or "src" in name}
    assert re.findall(r"https?:[^\"]*", text) == ["http://www.w3.org/2000/svg"] * 2
    assert "default-src 'none'" in text
    assert "\x1b" not in text


def test_det_plot() -> None:
    """Curves through known points: axes end at 0.5 and 99.5 %, 50 % is in the middle."""
    people = [analysed(f"p{number}", confidence) for number, confidence in enumerate((0.5, 0.7))]
    prints = [analysed(f"a{number}", confidence, "print") for number, confidence in enumerate((0.3, 0.7))]
    plot = det_plot(evaluated(*people, *prints))
    # thresholds 0.3, 0.5, 0.7: BPCER 0, 0, 50 %, APCER 100, 50, 50 %
    assert re.findall(r' d="([^"]*)"', plot) == ["M60.0 15.0H60.0V225.0H270.0V225.0"]
    # LIVE from 0.62: BPCER 50 %, APCER 50 %
    assert re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', plot) == [("270.0", "225.0")]
    assert plot.count(">print</text>") == 1


def test_score_plot() -> None:
    long = "p" * 100
    cut = evaluated(analysed("p", 0.7), analysed("a", 0.7, long))
    assert [
        plot(cut).count(f">{long[: most - 1]}\N{HORIZONTAL ELLIPSIS}")
        for plot, most in ((det_plot, 20), (score_plot, 70))
    ] == [1, 1]
    plot = score_plot(evaluated(analysed("p", 1.0), analysed("a", 0.0, "print"), analysed("b", 0.01, "print")))
    assert re.findall(r'<rect x="([\d.]+)"', plot) == ["645.0", "60.0"]  # the last and the first of 40 bins
    assert [words in plot for words in (">bona fide (1)<", ">print (2)<")] == [True, True]


@pytest.mark.parametrize("each", [("p", 0.7), ("a", 0.7, "print"), ("n", ErrorCode.NO_FACE_DETECTED)])
def test_nothing_to_plot(each: tuple[Any, ...]) -> None:
    figures = evaluated(analysed(*each))
    assert det_plot(figures) == ""
    assert (score_plot(figures) == "") == (each[0] == "n")
    assert Elements(page(figures)).open == []
