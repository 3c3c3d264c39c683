"""Proposal of a calibration as JSON, as tables, and as a policy file that holds its provenance. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from json import dumps
from typing import Any

from config.policy import Policy
from stream.evaluation.calibration import OutOfSource, Proposal
from stream.evaluation.figures import Document, rate_fields
from stream.evaluation.words import WordTable, printable, rate
from stream.pipeline.verdict.verdict import live_bound

#: Name of the floor of the mean, among those of single networks.
MEAN = "mean of the networks"
_WRITTEN_BY = "# Written by `liveness evaluate DIR --calibrate`: a proposal for pictures like these. See [provenance]."


def proposal_document(proposal: Proposal, present: Policy, evaluated: Mapping[str, Any], made_on: date) -> Document:
    """Document of a proposal; `evaluated` is the document of the proposed policy on the pictures of the fit."""
    policy = proposal.policy
    return {
        "set": evaluated["set"],
        "made_on": made_on.isoformat(),
        "pictures": evaluated["summary"]["pictures"],
        "sources": evaluated["summary"]["sources"],
        "version": evaluated["version"],
        "models": evaluated["models"],
        "bpcer_at_most": proposal.bpcer_at_most,
        "from": _policy(present),
        "policy": _policy(policy),
        "live_threshold": policy.parameters.live_threshold,
        "live_bound": round(live_bound(policy), 6),
        "bounded": proposal.bounded,
        "folds": [list(fold) for fold in proposal.folds],
        "present_as_it_stands": _trial(proposal.stands),
        "out_of_source": {"present": _trial(proposal.trials[0]), "proposed": _trial(proposal.chosen)},
        "trials": [_trial(trial) for trial in proposal.trials],
        "on_the_same_pictures": {name: evaluated[name] for name in ("summary", "species")},
    }


def _policy(policy: Policy) -> Document:
    """Policy by what a calibration changes; `floors` is empty where networks take no part."""
    gates = {name: gate for name, gate in policy.gates.items() if policy.weights.model_dump().get(name)}
    networks = policy.pad_networks
    floors = {MEAN: networks.floor, **networks.floors} if networks.weight else {}
    return {
        "name": policy.name,
        "hash": policy.sha256,
        "weights": policy.weights.model_dump(),
        "floors": floors,
        "gates": gates,
    }


def _trial(trial: OutOfSource) -> Document:
    return {
        "mixture": trial.mixture,
        "mean_auc": round(trial.order, 6),
        **rate_fields("bpcer", trial.bpcer),
        "species": {name: rate_fields("apcer", apcer) for name, apcer in trial.apcer.items()},
    }


def proposal_headline(proposed: Mapping[str, Any]) -> list[str]:
    share = proposed["out_of_source"]["proposed"]["mixture"]
    lines = [
        f"{proposed['set']}: {proposed['pictures']} pictures, sources left out in turn, {len(proposed['folds'])} folds",
        f"proposed: LIVE from {proposed['live_bound']:.4f} for a BPCER of at most {proposed['bpcer_at_most']:.1%}, "
        f"weights {share:.0%} fitted" + (", as present" if share == 0 else ""),
    ]
    if proposed["policy"]["floors"]:
        lines.append("floors of the networks moved together; the networks' share stays")
    if proposed["bounded"]:
        lines.append("no LIVE bound that this policy can have meets that BPCER: the nearest one, BPCER is another")
    lines.append("gates of picture quality stay, and what they and the injection check hold back comes on top")
    return lines


def proposal_tables(proposed: Mapping[str, Any]) -> Iterator[WordTable]:
    """Tables of a proposal: error rates on sources that had no part in the fit, then weights and floors."""
    present, chosen = proposed["out_of_source"]["present"], proposed["out_of_source"]["proposed"]
    trials = (present, chosen, proposed["present_as_it_stands"])
    rows = [("BPCER", *(rate(each, "bpcer") for each in trials))]
    rows += [
        (f"APCER, {name}", *(rate(each["species"][name], "apcer") for each in trials)) for name in present["species"]
    ]
    rows.append(("mean AUC", *(f"{each['mean_auc']:.3f}" for each in trials)))
    columns = ("", "present weights", "proposed weights", "present policy, nothing left out")
    yield "On sources left out of the fit", columns, rows
    yield "Weights", ("signal", "present", "proposed"), _changes(proposed, "weights")
    if proposed["policy"]["gates"]:
        yield "Gates of signals with weight", ("signal", "present", "proposed"), _changes(proposed, "gates")
    if proposed["policy"]["floors"]:
        yield "Floors of log-odds", ("network", "present", "proposed"), _changes(proposed, "floors")


def _changes(proposed: Mapping[str, Any], what: str) -> list[tuple[str, str, str]]:
    present, found = proposed["from"][what], proposed["policy"][what]
    return [(name, f"{value:.4f}", f"{found[name]:.4f}") for name, value in present.items()]


def policy_file(policy: Policy, proposed: Mapping[str, Any]) -> str:
    """Policy as a file that `config.policy.load` reads to the same policy, but with the provenance of this proposal."""
    policy = policy.model_copy(update={"provenance": _provenance(proposed)})
    fields = policy.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    fields["weights"] = policy.weights.model_dump()
    fields["parameters"]["live_threshold"] = policy.parameters.live_threshold
    text = "\n".join([_WRITTEN_BY, "", *_toml(fields, ())]) + "\n"
    if Policy.model_validate(tomllib.loads(text)) != policy:
        raise ValueError("the policy has a value that this file can't hold")
    return text


def _provenance(proposed: Mapping[str, Any]) -> dict[str, str | int | float]:
    out, source, same = proposed["out_of_source"]["proposed"], proposed["from"], proposed["on_the_same_pictures"]
    name = source["name"]
    words = {
        "method": "liveness evaluate --calibrate",
        "command": f"liveness evaluate {proposed['set']} --policy {name}.toml "
        f"--calibrate --bpcer {proposed['bpcer_at_most']:g}",
        "made_on": proposed["made_on"],
        "version": proposed["version"],
        "from_policy": f"{source['name']} {source['hash']}",
        "pictures": f"{proposed['pictures']} of {proposed['set']}, {proposed['sources']} sources",
        "sources_left_out_in_turn": "; ".join(" ".join(fold) for fold in proposed["folds"]),
        "bpcer": f"{rate(out, 'bpcer')} on sources left out",
        "apcer": ", ".join(f"{name}: {rate(figures, 'apcer')}" for name, figures in out["species"].items())
        + " on sources left out",
        "bpcer_on_the_same_pictures": rate(same["summary"], "bpcer"),
        "apcer_on_the_same_pictures": ", ".join(
            f"{name}: {rate(figures, 'apcer')}" for name, figures in same["species"].items()
        ),
        "models": ", ".join(f"{each['name']} {each['version']} {each['sha256']}" for each in proposed["models"]),
    }
    numbers = {"bpcer_at_most": proposed["bpcer_at_most"], "fitted_share": out["mixture"], "mean_auc": out["mean_auc"]}
    return {**{name: printable(text) for name, text in words.items()}, **numbers}


def _toml(fields: Mapping[str, Any], table: tuple[str, ...]) -> Iterator[str]:
    """Lines of a table and of the tables inside, values first as TOML asks."""
    inner = {name: value for name, value in fields.items() if isinstance(value, dict)}
    if table and len(inner) < len(fields):
        yield f"\n[{_keys(table)}]"
    for name, value in fields.items():
        if name not in inner:
            yield f"{_keys((name,))} = {dumps(value, ensure_ascii=False)}"  # a JSON scalar or list of scalars is TOML
    for name, value in inner.items():
        yield from _toml(value, (*table, name))


def _keys(names: Iterable[str]) -> str:
    return ".".join(name if name.replace("_", "").isalnum() and name.isascii() else dumps(name) for name in names)
