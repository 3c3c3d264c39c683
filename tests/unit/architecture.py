"""The rules of the layout, as a checker over a source tree: who may import whom, and which library where.

Reads imports from the syntax tree, so that one inside a function or behind a condition counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

#: Each package and those of ours it may know.
LAYERS = {
    "config": {"config"},
    "detectors": {"config", "detectors"},
    "abuse": {"config", "abuse"},
    "stream": {"config", "detectors", "abuse", "stream"},
}

#: Makers of pictures for the demo and the measurements are the named exceptions to "native code stays in slots".
PICTURE_MAKERS = ("stream/demo/attacks.py", "stream/bench/photographs.py")

#: Library -> the only places that may import it; a folder ends in a slash.
ONLY_IN = {
    "faust": ("stream/kafka/app.py", "stream/kafka/run.py", "stream/kafka/transport.py"),
    "mode": ("stream/kafka/app.py", "stream/kafka/run.py", "stream/kafka/transport.py"),
    "redis": tuple(f"stream/redis_{name}.py" for name in ("calls", "cluster_calls", "node", "topology")),
    "hiredis": ("stream/redis/node.py",),
    "fakeredis": ("stream/embedded/store.py",),
    "confluent_kafka": ("stream/embedded/broker.py", "stream/bench/"),
    "aiokafka": ("stream/",),
    "aiohttp": ("stream/runtime/health.py", "stream/notify/"),
    "maxminddb": ("abuse/networks/geo.py",),
    "mediapipe": ("detectors/",),
    "onnxruntime": ("detectors/",),
    "cv2": ("detectors/", *PICTURE_MAKERS),
}

#: The core: values in, values out.
PURE = tuple(
    f"stream/{name}.py"
    for name in (
        *("intake", "cloud_events", "messages", "detection_codec", "aggregation", "verdict", "advice", "decision"),
        *("decision_store", "admission", "dead_letter", "topics", "acks", "clock", "detect_stage", "decide_stage"),
        *(
            "notify/notice",
            "notify/signing",
            "abuse_stage",
            "commands",
            "command_stage",
            "flag_output",
            "rebuild_records",
        ),
    )
) + tuple(
    f"abuse/{name}.py"
    for name in (
        *("subjects", "observation", "journal", "windows", "flags", "flag_events", "ledger", "engine", "gate"),
        *(
            "ip_risk",
            "origins",
            "reviews",
            "plan_codec",
            "audit",
            "expiry",
            "erasure",
            "erased",
            "mentions",
            "rules/base",
            "rules/excessive_retries",
        ),
        *("key_periods", "key_checks", "media_keys", "media_index", "face_index", "redis_face_commands"),
    )
)
NOT_IN_THE_CORE = frozenset(
    {"aiokafka", "faust", "mode", "redis", "aiohttp", "socket", "subprocess", "os", "numpy", "cv2"}
)


def broken_rules(root: Path) -> list[str]:
    """One line a violation: file, what it imports, why it may not."""
    found = []
    for package in LAYERS:
        for file in sorted((root / package).rglob("*.py")):
            place = file.relative_to(root).as_posix()
            for module in imported_modules(ast.parse(file.read_text()), place):
                found += [f"{place} imports {module}: {why}" for why in _objections(place, module)]
    return found


def _objections(place: str, module: str) -> Iterator[str]:
    top, package = module.split(".", maxsplit=1)[0], place.split("/", maxsplit=1)[0]
    if top in LAYERS and top not in LAYERS[package]:
        yield f"{package} may only know {', '.join(sorted(LAYERS[package]))}"
    if top == "tests":
        yield "the product knows no tests"
    if top in ONLY_IN and not _within(place, ONLY_IN[top]):
        yield f"only in {', '.join(ONLY_IN[top])}"
    if place in PURE and top in NOT_IN_THE_CORE:
        yield "the core is pure"


def _within(place: str, allowed: tuple[str, ...]) -> bool:
    return any(place == each or (each.endswith("/") and place.startswith(each)) for each in allowed)


def imported_modules(tree: ast.AST, place: str) -> Iterator[str]:
    """Absolute names of everything a file imports, by statement or by name at run time."""
    parents = place.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])]) or node.names[0].name
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
