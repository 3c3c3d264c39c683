"""Picture set: presentations with label, PAI species and source, from folders or from a list (CSV).

Folders: `bona_fide/` and `attack/<species>/`, to any depth, links followed, each folder once. Hidden files are passed
over; a file that neither is named as a picture nor begins as one is left out and named. A list has the columns `path`
(relative to the list), `label`, and if wanted `species` and `source`; every row is a presentation.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePath

from detectors.image_format import SNIFF_BYTES, sniff


class PresentationLabel(StrEnum):
    """Label of a presentation: what the picture is known to be; also the names of the two folders."""

    BONA_FIDE = "bona_fide"
    ATTACK = "attack"


#: Species of attacks that lie in no species' folder, and source of a file whose name begins with no word.
UNSPECIFIED = "unspecified"
#: Endings of files that are presentations even if they don't begin as a picture: the product has to answer them.
PICTURE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".heic", ".heif", ".avif", ".gif", ".tif", ".tiff"}
)
LIST_COLUMNS = frozenset({"path", "label"})
#: First word of a file's name, up to the first `_`, `-`, digit, dot or space.
_FIRST_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """Presentation: one picture whose label is known. `name` is its path in the set, as text; `species` is empty for a
    bona fide one; pictures of one `source` (camera, person, collection) resemble each other."""

    path: Path
    name: str
    label: PresentationLabel
    species: str
    source: str


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """File of the set that is no presentation, with the reason in words."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """Picture set: presentations in the order of their names, or of the list."""

    name: str
    presentations: tuple[Presentation, ...]
    left_out: tuple[LeftOutFile, ...] = ()


class UnusableSet(Exception):
    """Folder or list that names no presentation, or a list that can't be read."""


def read(place: Path) -> PictureSet:
    """Picture set of a folder, or of a list (CSV). Raises UnusableSet."""
    found = _of_folder(place) if place.is_dir() else _of_list(place)
    if not found.presentations:
        raise UnusableSet("no pictures there: expected bona_fide/ and attack/<species>/, or a CSV of path, label")
    return found


def source_of(file_name: str) -> str:
    """Source by a file's name: the first word in lower case (`axon_Mask_3.jpg` and `Axon-4.jpg` are of `axon`)."""
    word = _FIRST_WORD.match(PurePath(file_name).stem)
    return word[0].lower() if word else UNSPECIFIED


def as_text(path: PurePath) -> str:
    """Path as text that JSON can carry: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")


@dataclass(slots=True)
class _Reading:
    """Folder being read: each real folder once, so that links can't lead in a circle."""

    root: Path
    presentations: list[Presentation] = field(default_factory=list)
    left_out: list[LeftOutFile] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def leave_out(self, path: Path, reason: str) -> None:
        self.left_out.append(LeftOutFile(as_text(path.relative_to(self.root)), reason))

    def files(self, folder: Path) -> Iterator[Path]:
        """Files that are presentations, folder by folder, each by name."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            entries = self._entries(here)
            yield from (path for path in entries if not path.is_dir() and self._taken(path))
            waiting += reversed([path for path in entries if path.is_dir()])

    def _entries(self, folder: Path) -> list[Path]:
        try:
            there = folder.stat()
            if (there.st_dev, there.st_ino) in self.seen:
                self.leave_out(folder, "a link to a folder that is read already")
                return []
            self.seen.add((there.st_dev, there.st_ino))
            return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            self.leave_out(folder, f"can't be read ({error.strerror})")
            return []

    def _taken(self, path: Path) -> bool:
        if not path.is_file():
            self.leave_out(path, "no regular file")
            return False
        if path.suffix.lower() in PICTURE_ENDINGS or _begins_as_picture(path):
            return True
        self.leave_out(path, "no picture")
        return False


def _of_folder(root: Path) -> PictureSet:
    reading = _Reading(root)
    for label in PresentationLabel:
        if not (root / label).is_dir():
            reading.leave_out(root / label, "there is no such folder")
            continue
        for path in reading.files(root / label):
            inside = path.relative_to(root)
            reading.presentations.append(
                Presentation(
                    path=path,
                    name=as_text(inside),
                    label=label,
                    species=_species(label, as_text(PurePath(inside.parts[1])) if len(inside.parts) > 2 else ""),
                    source=source_of(as_text(PurePath(path.name))),
                )
            )
    for folder in _other_folders(root):
        reading.leave_out(folder, "neither bona_fide/ nor attack/")
    return PictureSet(
        name=as_text(PurePath(root.resolve().name)),
        presentations=tuple(reading.presentations),
        left_out=tuple(reading.left_out),
    )


def _other_folders(root: Path) -> list[Path]:
    labels = set(PresentationLabel)
    try:
        return sorted(p for p in root.iterdir() if p.is_dir() and p.name not in labels and p.name[0] != ".")
    except OSError:
        return []


def _begins_as_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return sniff(file.read(SNIFF_BYTES)) is not None
    except OSError:
        return False


def _of_list(place: Path) -> PictureSet:
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            presentations = tuple(_rows(file, place.parent))
    except UnicodeDecodeError:
        raise UnusableSet(f"{place.name} is not UTF-8 text") from None
    except csv.Error as error:
        raise UnusableSet(f"{place.name} is not CSV: {error}") from None
    except OSError as error:
        raise UnusableSet(f"{place.name} can't be read ({error.strerror})") from None
    return PictureSet(name=as_text(PurePath(place.name)), presentations=presentations)


def _rows(lines: Iterable[str], folder: Path) -> Iterator[Presentation]:
    rows = csv.DictReader(lines, strict=True)
    missing = LIST_COLUMNS - set(rows.fieldnames or ())
    if missing:
        raise UnusableSet(f"the list has no column {', '.join(sorted(missing))}")
    for row in rows:
        cells = {name: (row.get(name) or "").strip() for name in ("path", "label", "species", "source")}
        if cells["label"] not in set(PresentationLabel) or not cells["path"]:
            raise UnusableSet(f"line {rows.line_num}: expected a path, and a label that is bona_fide or attack")
        label = PresentationLabel(cells["label"])
        yield Presentation(
            path=folder / cells["path"],
            name=cells["path"],
            label=label,
            species=_species(label, cells["species"]),
            source=cells["source"] or source_of(PurePath(cells["path"]).name),
        )


def _species(label: PresentationLabel, named: str) -> str:
    return "" if label is PresentationLabel.BONA_FIDE else named or UNSPECIFIED
