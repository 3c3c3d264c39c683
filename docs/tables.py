"""Reference tables of the documents, written from the code between `<!-- table: NAME -->` and `<!-- end -->`.

.venv/bin/python docs/tables.py           rewrites every table
.venv/bin/python docs/tables.py --check   exit 1 if a table differs from the code, or stands in no document
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from abuse.event_time import HOUR_MS
from config.catalogues.error_codes import MEANING
from config.catalogues.injection import INDICATIONS
from config.catalogues.pad_networks import SHIPPED, SPECIES
from config.limits.abuse import RULE_NAMES, AbusePolicy
from config.policy import Policy
from config.settings import Settings
from detectors.active.reasons import REASONS
from stream.cli.abuse.retention import in_words
from stream.events.topics import TABLE, TopicSpec
from stream.kafka.clients.access import RIGHTS
from stream.maintenance.retention import stores
from stream.pipeline.verdict.advice import BY_REASON
from stream.runtime import metrics

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MARKER = re.compile(r"<!-- table: (?P<name>\w+) -->")


def settings_table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for path, field in _fields(Settings):
        name = "LIVENESS_" + "__".join(path).upper()
        rows.append(f"| `{name}` | {_default(field)} | {field.description} |")
    return "\n".join(rows)


def policy_table() -> str:
    rows = ["| key | default | what |", "|---|---|---|"]
    for path, field in _fields(Policy):
        if path[0] != "abuse":  # its own table, in docs/ABUSE.md
            rows.append(f"| `{'.'.join(path)}` | {_default(field)} | {field.description or ''} |")
    return "\n".join(rows)


def rules_table() -> str:
    rows = ["| rule | what it looks at | active | enforced |", "|---|---|---|---|"]
    for name in RULE_NAMES:
        limits = AbusePolicy.model_fields[name].default
        what = inspect.cleandoc(type(limits).__doc__ or "").partition("\n")[0]
        rows.append(f"| `{name}` | {what} | {_yes(limits.active)} | {_yes(limits.enforced)} |")
    return "\n".join(rows)


def abuse_table() -> str:
    rows = ["| key | default | what |", "|---|---|---|"]
    for path, field in _fields(AbusePolicy, ("abuse",)):
        if path[-1] not in ("active", "enforced"):  # in the table of rules
            rows.append(f"| `{'.'.join(path)}` | {_default(field)} | {field.description or ''} |")
    return "\n".join(rows)


def error_table() -> str:
    rows = ["| code | what happened | what to do |", "|---|---|---|"]
    rows += [f"| `{code}` | {what} | {then} |" for code, (what, then) in MEANING.items()]
    return "\n".join(rows)


def reason_table() -> str:
    rows = ["| reason | advice | what the person is told |", "|---|---|---|"]
    rows += [f"| `{reason}` | `{advice.code}` | {advice.message} |" for reason, advice in BY_REASON.items()]
    return "\n".join(rows)


def active_reason_table() -> str:
    rows = ["| reason | what it is | highest score | what it says |", "|---|---|---|---|"]
    rows += [f"| `{code}` | {each.kind} | {each.most} | {each.words} |" for code, each in REASONS.items()]
    return "\n".join(rows)


def indication_table() -> str:
    rows = ["| indication | what | weight |", "|---|---|---|"]
    rows += [f"| `{code}` | {spec.label} | {spec.weight:g} |" for code, spec in INDICATIONS.items()]
    return "\n".join(rows)


def pad_auc_table() -> str:
    species = [f"{name} ({attacks})" for name, attacks in SPECIES.items()]
    rows = [f"| network | {' | '.join(species)} |", "|---" * (len(species) + 1) + "|"]
    for network in SHIPPED:
        figures = [f"{figure:.2f}" for _, figure in network.auc]
        rows += [f"| `{network.name}` | {' | '.join(figures)} |"]
    return "\n".join(rows)


def topic_table() -> str:
    rows = ["| topic | kept | pictures |", "|---|---|---|"]
    rows += [f"| `{spec.topic}` | {_kept(spec)} | {'yes' if spec.carries_images else 'no'} |" for spec in TABLE]
    return "\n".join(rows)


def principal_table() -> str:
    """Rights of each principal by topic; Describe is left out where Read or Write holds it."""
    rows = ["| principal | topic | operations |", "|---|---|---|"]
    for principal, topics in RIGHTS.items():
        for topic, operations in topics.items():
            rows.append(f"| `{principal}` | `{topic}` | {', '.join(operations)} |")
    return "\n".join(rows)


def metric_table() -> str:
    rows = ["| metric | kind | what |", "|---|---|---|"]
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(rows)


def retention_table() -> str:
    """Stores and how long they keep what they hold, by the default settings and policy."""
    settings = Settings.model_construct(**{name: field.default for name, field in Settings.model_fields.items()})
    rows = ["| where | store | holds | personal | kept | erased |", "|---|---|---|---|---|---|"]
    for store in stores(settings, Policy()):
        cells = (store.place, f"`{store.name}`", store.holds, store.personal, in_words(store), _yes(store.erased))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "policy": policy_table,
    "errors": error_table,
    "reasons": reason_table,
    "indications": indication_table,
    "active_reasons": active_reason_table,
    "pad_auc": pad_auc_table,
    "topics": topic_table,
    "principals": principal_table,
    "metrics": metric_table,
    "rules": rules_table,
    "abuse": abuse_table,
    "retention": retention_table,
}


def with_tables(text: str) -> str:
    """The document with each of its tables written anew. Raises KeyError for a table that doesn't exist."""

    def renewed(match: re.Match[str]) -> str:
        return f"<!-- table: {match['name']} -->\n{TABLES[match['name']]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (?P<name>\w+) -->.*?<!-- end -->", renewed, text, flags=re.DOTALL)


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, (*path, name))
        else:
            yield (*path, name), field


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "" if field.default_factory is dict else "one a core"
    value = field.default
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return "" if value in (None, "") else f"`{value}`"


def _yes(on: bool) -> str:
    return "yes" if on else "no"


def _kept(spec: TopicSpec) -> str:
    hours = spec.retention_ms // HOUR_MS
    return "for ever" if spec.retention_ms < 0 else f"{hours} h" if hours < 48 else f"{hours // 24} d"


def main() -> int:
    texts = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    placed = Counter(name for text in texts.values() for name in MARKER.findall(text))
    faults = [
        f"the table {name} stands in {placed[name]} documents, not in one" for name in TABLES if placed[name] != 1
    ]
    for path, current in texts.items():
        wanted = with_tables(current)
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted, encoding="utf-8")
        elif current != wanted:
            faults.append(
                f"{path.relative_to(ROOT)}: a table differs from the code; run .venv/bin/python docs/tables.py"
            )
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
