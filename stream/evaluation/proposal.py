"""Proposal of a calibration as JSON, as tables, and as a policy file with its provenance. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from typing import Any

from config.policy import Policy
from stream.evaluation.calibration import OutOfSource, Proposal
from stream.evaluation.figures import Document, rate_fields
from stream.evaluation.words import WordTable, printable, rate
from stream.pipeline.verdict import live_bound


def proposal_document(proposal: Proposal, present: Policy, evaluated: Mapping[str, Any]) -> Document:
    """Document of a proposal; `evaluated` is the document of the proposed policy on the pictures of the fit."""
    policy = proposal.policy
    return {
        "set": evaluated["set"],
        "pictures": evaluated["summary"]["pictures"],
        "version": evaluated["version"],
        "models": evaluated["models"],
        "bpcer_at_most": proposal.bpcer_at_most,
        "from": {"name": present.name, "hash": present.sha256, "weights": present.weights.model_dump()},
        "policy": {"name": policy.name, "hash": policy.sha256, "weights": policy.weights.model_dump()},
        "live_threshold": policy.parameters.live_threshold,
        "live_bound": round(live_bound(policy), 6),
        "bounded": proposal.bounded,
        "folds": [list(fold) for fold in proposal.folds],
        "out_of_source": {"present": _trial(proposal.trials[0]), "proposed": _trial(proposal.chosen)},
        "trials": [_trial(trial) for trial in proposal.trials],
        "on_the_same_pictures": {name: evaluated[name] for name in ("summary", "species")},
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
    if proposed["bounded"]:
        lines.append("the pictures ask for another LIVE bound, which no policy can have: BPCER will be another one")
    return lines


def proposal_tables(proposed: Mapping[str, Any]) -> Iterator[WordTable]:
    """Tables of a proposal: error rates on sources that had no part in the fit, then the weights."""
    present, chosen = proposed["out_of_source"]["present"], proposed["out_of_source"]["proposed"]
    rows = [("BPCER", rate(present, "bpcer"), rate(chosen, "bpcer"))]
    rows += [
        (f"APCER, {name}", rate(figures, "apcer"), rate(chosen["species"][name], "apcer"))
        for name, figures in present["species"].items()
    ]
    rows.append(("mean AUC", f"{present['mean_auc']:.3f}", f"{chosen['mean_auc']:.3f}"))
    yield "On sources left out of the fit", ("", "present weights", "proposed weights"), rows
    weights = proposed["from"]["weights"], proposed["policy"]["weights"]
    yield (
        "Weights",
        ("signal", "present", "proposed"),
        [(n, f"{w:.4f}", f"{weights[1][n]:.4f}") for n, w in weights[0].items()],
    )


def policy_file(policy: Policy, proposed: Mapping[str, Any]) -> str:
    """Policy as a file that `config.policy.load` reads to the same policy, with the provenance in comments."""
    fields = policy.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    fields["weights"] = policy.weights.model_dump()
    fields["parameters"]["live_threshold"] = policy.parameters.live_threshold
    comments = "".join(f"# {printable(line)}\n" for line in _provenance(proposed))
    text = comments + "\n" + "\n".join(_toml(fields, ())) + "\n"
    if Policy.model_validate(tomllib.loads(text)) != policy:
        raise ValueError("the policy has a value that this file can't hold")
    return text


def _provenance(proposed: Mapping[str, Any]) -> list[str]:
    out = proposed["out_of_source"]["proposed"]
    return [
        "Written by `liveness evaluate DIR --calibrate`: a proposal for pictures like these.",
        f"pictures: {proposed['pictures']} of {proposed['set']}",
        f"sources, left out in turn: {'; '.join(' '.join(fold) for fold in proposed['folds'])}",
        f"from policy: {proposed['from']['name']} {proposed['from']['hash']}",
        f"asked for: BPCER at most {proposed['bpcer_at_most']:g}; share of fitted weights: {out['mixture']:g}",
        f"on sources left out: BPCER {rate(out, 'bpcer')}, mean AUC {out['mean_auc']:.3f}",
        *(f"  APCER, {name}: {rate(figures, 'apcer')}" for name, figures in out["species"].items()),
        f"Liveness Stream {proposed['version']}",
        *(f"model: {each['name']} {each['version']} {each['sha256']}" for each in proposed["models"]),
    ]


def _toml(fields: Mapping[str, Any], table: tuple[str, ...]) -> Iterator[str]:
    """Lines of a table and of the tables inside, values first as TOML asks."""
    inner = {name: value for name, value in fields.items() if isinstance(value, dict)}
    if table and len(inner) < len(fields):
        yield f"\n[{_keys(table)}]"
    for name, value in fields.items():
        if name not in inner:
            yield f"{_keys((name,))} = {dumps(value)}"  # a JSON scalar or list of scalars is TOML
    for name, value in inner.items():
        yield from _toml(value, (*table, name))


def _keys(names: Iterable[str]) -> str:
    return ".".join(name if name.replace("_", "").isalnum() and name.isascii() else dumps(name) for name in names)
