"""Plots of an evaluation as SVG text: the DET plot, and the confidences of each label. Pure.

A DET plot (detection error trade-off; Martin et al., Eurospeech 1997) has normal deviates of both error rates on its
axes, so that curves of two normal distributions are straight lines. No script, no style sheet, no other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from statistics import NormalDist
from typing import Any

from stream.evaluation.judged import reaches
from stream.evaluation.operating import trade_off
from stream.evaluation.picture_set import PresentationLabel
from stream.evaluation.words import printable

#: Rates that an axis names; its ends stand for all rates beyond, and so for 0 and 1.
TICKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
_DEVIATE = NormalDist().inv_cdf
_LOW, _HIGH = _DEVIATE(TICKS[0]), _DEVIATE(TICKS[-1])
#: Colours that are told apart with colour blindness (Okabe and Ito, 2008); a dash joins in from the eighth species on.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "currentColor")
_DASHES = ("none", "6 3", "2 2")
_SIDE, _LEFT, _TOP, _LEGEND = 420, 60, 15, 190
#: Characters of a species' name for which there is room beside the DET plot, and above a histogram.
_LEGEND_CHARS, _ROW_CHARS = 20, 70
_BINS, _ROW_HEIGHT, _ROW_GAP, _WIDTH = 40, 60, 30, 600


def det_plot(evaluated: Mapping[str, Any]) -> str:
    """DET curve of each PAI species, with a dot where the policy's LIVE bound is; empty without curves."""
    genuine = _bounds_reached(evaluated, None)
    curves = {name: trade_off(genuine, _bounds_reached(evaluated, name)) for name in evaluated["species"]}
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return ""
    parts = [_axes()]
    for place, (name, points, style) in enumerate(zip(curves, curves.values(), _styles(), strict=False)):
        parts += [_curve(points, style), _operating(evaluated, name, style), _legend(place, name, style)]
    height = max(_SIDE + _TOP + 50, _TOP + 20 * len(curves) + 20)
    return _svg(_LEFT + _SIDE + _LEGEND, height, "DET plot: APCER of each species against BPCER", parts)


def score_plot(evaluated: Mapping[str, Any]) -> str:
    """Histogram of the confidences of bona fide presentations and of each species; the policy's bounds are lines."""
    rows = [("bona fide", _confidences(evaluated, None), _COLOURS[2])]
    rows += [(name, _confidences(evaluated, name), _COLOURS[1]) for name in evaluated["species"]]
    rows = [each for each in rows if each[1]]
    if not rows:
        return ""
    policy = evaluated["policy"]
    parts = [_histogram(place, *each) for place, each in enumerate(rows)]
    bottom = _TOP + len(rows) * (_ROW_HEIGHT + _ROW_GAP)
    parts += [_bound(policy[bound], bottom) for bound in ("spoof_bound", "live_bound")]
    parts += [_text(_LEFT + _WIDTH * tick / 10, bottom + 15, f"{tick / 10:.1f}", "middle") for tick in range(0, 11, 2)]
    parts.append(_text(_LEFT + _WIDTH / 2, bottom + 35, "confidence (dashed: SPOOF below, LIVE from)", "middle"))
    return _svg(_LEFT + _WIDTH + 20, bottom + 45, "Confidences of bona fide presentations and of each species", parts)


def _confidences(evaluated: Mapping[str, Any], species: str | None) -> list[float]:
    """Confidences of one species, or of bona fide presentations."""
    return [each["confidence"] for each in _responses(evaluated, species)]


def _bounds_reached(evaluated: Mapping[str, Any], species: str | None) -> list[float]:
    return [reaches(each["confidence"], each["held"]) for each in _responses(evaluated, species)]


def _responses(evaluated: Mapping[str, Any], species: str | None) -> list[Mapping[str, Any]]:
    return [
        each
        for each in evaluated["pictures"]
        if each["confidence"] is not None
        and each["species"] == species
        and (each["label"] == PresentationLabel.BONA_FIDE) == (species is None)
    ]


def _styles() -> cycle[tuple[str, str]]:
    return cycle([(colour, dash) for dash in _DASHES for colour in _COLOURS])


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img"'
    )
    font = 'font-family="sans-serif" font-size="12" fill="currentColor"'
    return f"{head} {font}><title>{escape(title)}</title>{''.join(parts)}</svg>"


def _across(rate: float) -> float:
    return _LEFT + _SIDE * _share(rate)


def _down(rate: float) -> float:
    return _TOP + _SIDE * (1.0 - _share(rate))


def _share(rate: float) -> float:
    """Place of an error rate on an axis, 0 to 1."""
    deviate = _DEVIATE(min(max(rate, TICKS[0]), TICKS[-1]))
    return (deviate - _LOW) / (_HIGH - _LOW)


def _axes() -> str:
    lines = []
    for tick in TICKS:
        x, y, label = _across(tick), _down(tick), f"{100 * tick:g}"
        lines += [_line(x, _TOP, x, _TOP + _SIDE), _line(_LEFT, y, _LEFT + _SIDE, y)]
        lines += [_text(x, _TOP + _SIDE + 15, label, "middle"), _text(_LEFT - 5, y + 4, label, "end")]
    middle = _TOP + _SIDE / 2
    return "".join(lines) + (
        _text(_LEFT + _SIDE / 2, _TOP + _SIDE + 35, "BPCER, %", "middle")
        + f'<text x="15" y="{middle}" text-anchor="middle" transform="rotate(-90 15 {middle})">APCER, %</text>'
    )


def _curve(points: Sequence[tuple[float, float, float]], style: tuple[str, str]) -> str:
    """Steps through all operating points: an error rate is that of the next point until it is reached."""
    steps = [f"M{_across(points[0][1]):.1f} {_down(points[0][2]):.1f}"]
    steps += [f"H{_across(bpcer):.1f}V{_down(apcer):.1f}" for _, bpcer, apcer in points[1:]]
    return (
        f'<path d="{"".join(steps)}" fill="none" stroke="{style[0]}" stroke-width="2" stroke-dasharray="{style[1]}"/>'
    )


def _operating(evaluated: Mapping[str, Any], species: str, style: tuple[str, str]) -> str:
    bpcer, apcer = evaluated["summary"]["bpcer"], evaluated["species"][species]["apcer"]
    return f'<circle cx="{_across(bpcer):.1f}" cy="{_down(apcer):.1f}" r="5" fill="{style[0]}"/>'


def _legend(place: int, name: str, style: tuple[str, str]) -> str:
    x, y = _LEFT + _SIDE + 15, _TOP + 10 + 20 * place
    stroke = f'stroke="{style[0]}" stroke-width="2" stroke-dasharray="{style[1]}"'
    return f'<line x1="{x}" y1="{y}" x2="{x + 25}" y2="{y}" {stroke}/>' + _text(
        x + 30, y + 4, _short(name, _LEGEND_CHARS), "start"
    )


def _histogram(place: int, name: str, row: Sequence[float], colour: str) -> str:
    """Bars of the shares in each bin, the highest as high as the row: rows of unlike size keep their shape."""
    counts = [0] * _BINS
    for confidence in row:
        counts[min(int(confidence * _BINS), _BINS - 1)] += 1
    base, wide = _TOP + (place + 1) * (_ROW_HEIGHT + _ROW_GAP), _WIDTH / _BINS
    bars = [
        f'<rect x="{_LEFT + number * wide:.1f}" y="{base - _ROW_HEIGHT * count / max(counts):.1f}" '
        f'width="{wide - 1:.1f}" height="{_ROW_HEIGHT * count / max(counts):.1f}" fill="{colour}"/>'
        for number, count in enumerate(counts)
        if count
    ]
    label = _text(_LEFT, base - _ROW_HEIGHT - 8, f"{_short(name, _ROW_CHARS)} ({len(row)})", "start")
    return "".join(bars) + _line(_LEFT, base, _LEFT + _WIDTH, base) + label


def _bound(confidence: float, bottom: float) -> str:
    x = _LEFT + _WIDTH * confidence
    return f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="currentColor" stroke-dasharray="4 3"/>'


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#8886"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(printable(words))}</text>'
