"""`liveness evaluate`: error rates of attack detection on labelled pictures, without Kafka or Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from config import settings as configuration
from config.errors import SettingsError
from config.policy import Policy
from config.settings import Settings
from detectors.pool import PoolClosed
from stream.bootstrap.models import network_sources
from stream.cli.console import JsonOption, err, fail, out, plain, print_json, say
from stream.evaluation import analysing, calibration
from stream.evaluation.comparison import comparison, comparison_headline, comparison_tables
from stream.evaluation.figures import Document, document
from stream.evaluation.judged import judged, models_of, unreadable
from stream.evaluation.picture_set import PictureSet, UnusableSet, read
from stream.evaluation.proposal import policy_file, proposal_document, proposal_headline, proposal_tables
from stream.evaluation.report import page
from stream.evaluation.words import CAUTION, WordTable, headline, tables
from stream.runtime.clock import SYSTEM_CLOCK

DIR_HELP = (
    "A folder with bona_fide/ and attack/<species>/, or a CSV with columns path, label (bona_fide or attack), species "
    "and source. In folders the source of a picture is the first word of its file's name, up to the first digit, "
    "underscore, hyphen, dot or space."
)
OUT_HELP = "Folder for the report and the analyses made, made if need be; a second run goes on from these."
POLICY_HELP = "Policy to evaluate instead of the configured one."
COMPARE_HELP = "Two policies: error rates side by side, and the pictures whose verdict turns."
CALIBRATE_HELP = (
    "Propose weights, a threshold, gates of signals that weigh and, for a policy with presentation-attack networks, "
    "their floors, tried on sources left out of the fit, and write a policy file. The networks' share, the gates of "
    "picture quality and all else of the policy stay."
)
CALIBRATION_NAME, POLICY_NAME = "calibration.json", "policy.toml"
COMPARISON_NAME = "comparison.json"
CACHE_NAME, JSON_NAME, PAGE_NAME = "analyses.jsonl", "evaluation.json", "report.html"


def command(
    dir: Annotated[Path, typer.Argument(exists=True, metavar="DIR", help=DIR_HELP)],
    out: Annotated[Path, typer.Option(file_okay=False, help=OUT_HELP)] = Path("evaluation"),
    policy: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help=POLICY_HELP)] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(exists=True, dir_okay=False, metavar="A B", help=COMPARE_HELP)
    ] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help=CALIBRATE_HELP)] = False,
    bpcer: Annotated[float, typer.Option(min=0.0, max=0.5, help="With --calibrate: the highest BPCER.")] = 0.05,
    json: JsonOption = False,
) -> None:
    """Measure attack detection: APCER for each species, BPCER, non-responses (ISO/IEC 30107-3). Exit 1 if a picture
    could not be read."""
    if compare is not None and (policy is not None or calibrate):
        raise typer.BadParameter("--compare goes with neither --policy nor --calibrate")
    settings = configuration.load()
    for file in compare or (policy,):
        _try(settings, file)
    pictures = _read(dir)
    _make(out)
    if compare is not None:
        _compare(pictures, settings, compare, out, json)
    elif calibrate:
        _calibrate(pictures, _with_policy(settings, policy), bpcer, out, json)
    else:
        _evaluate(pictures, _with_policy(settings, policy), out, json)


def _evaluate(pictures: PictureSet, settings: Settings, folder: Path, json: bool) -> None:
    evaluated = _evaluated(pictures, settings, folder / CACHE_NAME)
    _write(folder / JSON_NAME, orjson.dumps(evaluated, option=orjson.OPT_INDENT_2))
    _write(folder / PAGE_NAME, page(evaluated).encode())
    print_json(evaluated) if json else _show(headline(evaluated), tables(evaluated))
    _say_where(folder, PAGE_NAME, JSON_NAME)
    _end(pictures, evaluated)


def _compare(pictures: PictureSet, settings: Settings, policies: tuple[Path, Path], folder: Path, json: bool) -> None:
    a, b = (_evaluated(pictures, _with_policy(settings, file), folder / CACHE_NAME) for file in policies)
    compared = comparison(a, b)
    _write(folder / COMPARISON_NAME, orjson.dumps(compared, option=orjson.OPT_INDENT_2))
    print_json(compared) if json else _show(comparison_headline(compared), comparison_tables(compared))
    _say_where(folder, COMPARISON_NAME)
    _end(pictures, a)


def _calibrate(pictures: PictureSet, settings: Settings, bpcer: float, folder: Path, json: bool) -> None:
    present = settings.policy()
    analysed = _analysed(pictures, settings, present, folder / CACHE_NAME)
    try:
        proposal = calibration.calibrate(analysed, present, bpcer)
    except calibration.NotEnoughSources as error:
        fail(str(error))
    evaluated = _document(pictures, analysed, proposal.policy)
    proposed = proposal_document(
        proposal, present, evaluated, datetime.fromtimestamp(SYSTEM_CLOCK.now_ms() / 1000, UTC).date()
    )
    _write(folder / CALIBRATION_NAME, orjson.dumps(proposed, option=orjson.OPT_INDENT_2))
    _write(folder / POLICY_NAME, policy_file(proposal.policy, proposed).encode())
    print_json(proposed) if json else _show(proposal_headline(proposed), proposal_tables(proposed))
    _say_where(folder, POLICY_NAME, CALIBRATION_NAME)
    _end(pictures, evaluated)


def _say_where(folder: Path, *names: str) -> None:
    say(escape(plain(f"written to {folder}/: {', '.join(names)}, {CACHE_NAME}")))


def _end(pictures: PictureSet, evaluated: Document) -> None:
    """Exit 1 if a picture of the set is in no figure."""
    if len(evaluated["pictures"]) < len(pictures.presentations):
        fail("some pictures could not be read and are in no figure")


def _with_policy(settings: Settings, policy: Path | None) -> Settings:
    return settings if policy is None else settings.model_copy(update={"policy_file": policy})


def _try(settings: Settings, policy: Path | None) -> None:
    """Policy file and the networks it wants, found before any picture is read. Raises SettingsError naming the file."""
    try:
        chosen = _with_policy(settings, policy)
        network_sources(chosen, chosen.policy())
    except SettingsError as error:
        raise SettingsError(f"{policy}: {error}" if policy else str(error)) from None


def _read(place: Path) -> PictureSet:
    try:
        return read(place)
    except UnusableSet as error:
        raise typer.BadParameter(plain(str(error)), param_hint="DIR") from None


def _make(folder: Path) -> None:
    """Folder for the owner alone: names and hashes of pictures are personal data."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"can't be made ({error.strerror})", param_hint="--out") from None


def _evaluated(pictures: PictureSet, settings: Settings, cache: Path) -> Document:
    policy = settings.policy()
    return _document(pictures, _analysed(pictures, settings, policy, cache), policy)


def _document(pictures: PictureSet, analysed: list[analysing.AnalysedPresentation], policy: Policy) -> Document:
    left_out = [*pictures.left_out, *unreadable(analysed)]
    return document(pictures.name, judged(analysed, policy), policy, left_out, models_of(analysed))


def _analysed(
    pictures: PictureSet, settings: Settings, policy: Policy, cache: Path
) -> list[analysing.AnalysedPresentation]:
    try:
        with _progress(len(pictures.presentations)) as progress:
            return analysing.analyse(pictures.presentations, settings, policy, cache, progress)
    except (PoolClosed, OSError) as error:
        fail(str(error))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Progress on a terminal as a bar, elsewhere a line every tenth."""
    if not err.is_terminal:
        yield lambda done: say(f"{done} of {total} pictures") if done * 10 // total > (done - 1) * 10 // total else None
        return
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("pictures", total=total)
        yield lambda done: bar.update(task, completed=done)


def _write(path: Path, content: bytes) -> None:
    """File replaced as a whole: an interrupted run leaves the last report."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        fail(f"{path} can't be written ({error.strerror})")


#: Columns of a table that no terminal limits.
WIDTH_IN_A_FILE = 200


def _show(lines: Iterable[str], shown: Iterable[WordTable]) -> None:
    """Headline and tables of an evaluation, a comparison or a proposal printed."""
    console = out if out.is_terminal else Console(highlight=False, width=WIDTH_IN_A_FILE)
    for line in lines:
        console.print(Text(plain(line)), soft_wrap=True)
    for title, columns, rows in shown:
        console.print()
        console.print(_table(title, columns, rows))
    console.print(Text(CAUTION), soft_wrap=True)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, box=None, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(plain(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
