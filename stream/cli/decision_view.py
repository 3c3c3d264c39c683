"""Decision as text for people: verdict, each signal with bar and weight, flags and advice."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.text import Text

from stream.cli.console import plain
from stream.pipeline.capture.attestation import CODE_NOT_ATTESTED

_COLOUR = {"LIVE": "green", "SPOOF": "red", "INCONCLUSIVE": "yellow"}
_BAR_WIDTH = 12
_LABEL_WIDTH = 21
#: Full and empty part of a bar, and what stands for them on a console that isn't UTF-8.
_BLOCKS, _ASCII_BLOCKS = "█░", "#."
#: Errors of `show` for a decision that no worker wrote.
NOT_SHOWN = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def show(console: Console, title: str, event: dict[str, Any], band: float) -> None:
    """Decision event printed; `band` is the policy's half-width of INCONCLUSIVE. Raises one of NOT_SHOWN."""
    blocks = _ASCII_BLOCKS if console.options.ascii_only else _BLOCKS
    console.print(Group(_headline(plain(title), event, band), *_body(event, blocks)))
    console.print()


def _headline(title: str, event: dict[str, Any], band: float) -> Text:
    result, error = event["result"], event["error"]
    colour = _COLOUR[result["verdict"]]
    line = Text.assemble((f" {result['verdict']} ", f"bold reverse {colour}"), " ", (title, "bold"))
    if error is not None:
        line.append(f"  {plain(error['code'])}: {plain(error['message'])}", style="yellow")
    else:
        low, high = result["threshold"] - band, result["threshold"] + band
        line.append(f"  confidence {result['confidence']:.3f} (LIVE from {high:.2f}, SPOOF below {low:.2f})")
        line.append(f", score {result['score']}")
        line.append(f", {result['outcome']}", style=colour)
    total = event["elapsed_ms"].get("total")
    return line if total is None else line.append(f"  {total:.0f} ms", style="dim")


def _body(event: dict[str, Any], blocks: str) -> list[Text]:
    result = event["result"]
    lines = [] if event["error"] else [_signal(signal, blocks) for signal in result["signals"]]
    if not event["error"]:
        lines += [*_checked(result), *_explained(result)]
    elif reasons := result["reasons"][1:]:
        lines.append(Text(f"   reason: {plain(', '.join(reasons))}", style="yellow"))
    lines += [_flag(flag) for flag in (event["abuse"] or {}).get("flags", ())]
    return lines + [Text(f"   -> {plain(advice['message'])}", style="cyan") for advice in result["advice"]]


def _checked(result: dict[str, Any]) -> list[Text]:
    """Movements of an active check, and what else a session asked for; none for a decision of an earlier version."""
    found, mode = list[str](), result.get("liveness_mode", "passive")
    if result.get("frames_captured", 1) > 1:
        done = ", ".join(result["challenges_completed"]) or "none"
        score, least = result["liveness_score"], result["liveness_threshold"]
        words = f"{mode} check: score {score:.0f}, passes from {least}"
        found.append(f"{words}, {result['frames_captured']} frames, challenges done: {done}")
        if reasons := result["reasons"]:
            found.append(f"reasons: {', '.join(reasons)}")
    if compared := result.get("verification"):
        same = {True: "the same person", False: "another person", None: f"not compared ({compared['reason']})"}
        found.append(f"reference image: {same[compared['is_identical']]}")
    if (capture := result.get("capture")) and capture["attestation"] != "not_attested":
        found.append(f"capture: {capture['attestation']}")
    return [Text(f"   {plain(each)}", style="bold") for each in found]


def _explained(result: dict[str, Any]) -> list[Text]:
    """Meaning of the confidence, indications of an injection, and the nearest other verdict; none for a decision
    of an earlier version."""
    lines = [Text(f"   {plain(result['interpretation'])}")] if "interpretation" in result else []
    injection = result.get("injection", {"verdict": "Live", "indications": []})
    style = "dim" if injection["verdict"] == "Live" else "red"
    # A capture that need not be attested, as nearly none is, tells nothing.
    told = [each for each in injection["indications"] if each["weight"] or each["code"] != CODE_NOT_ATTESTED]
    shown = (f"   file: {plain(each['detail'])} ({each['weight']:.1f})" for each in told)
    lines += [Text(words, style=style) for words in shown]
    if counterfactual := result.get("counterfactual"):
        lines.append(Text(f"   {plain(counterfactual['message'])}", style="dim"))
    return lines


def _flag(flag: dict[str, Any]) -> Text:
    what = "flag" if flag["enforced"] else "flag (shadow)"
    subject = flag["subject"]["type"].replace("_", " ") if flag["subject"] else "all who show the same"
    return Text(f"   {what}: {plain(flag['kind'])} by {plain(subject)}, {plain(flag['severity'])}", style="magenta")


def _signal(signal: dict[str, Any], blocks: str) -> Text:
    mark = ("   ok  ", "green") if signal["passed"] else ("   low ", "red")
    share, detail = (f" x {signal['weight']:.2f}  ", "dim"), (plain(signal["detail"]), "dim")
    label = f"{plain(signal['label']):<{_LABEL_WIDTH}} "
    return Text.assemble(mark, label, _bar(signal["score"], blocks), f" {signal['score']:.2f}", share, detail)


def _bar(score: float, blocks: str) -> Text:
    filled = round(min(max(score, 0.0), 1.0) * _BAR_WIDTH)  # of any number: not every decision is a worker's
    colour = "green" if score >= 0.8 else "yellow" if score >= 0.5 else "red"
    return Text.assemble((blocks[0] * filled, colour), (blocks[1] * (_BAR_WIDTH - filled), "dim"))
