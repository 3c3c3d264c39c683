"""Picture sets: folders and lists, and what lies there that is no picture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream.evaluation.picture_set import PictureSet, UnusableSet, read, source_of

JPEG = b"\xff\xd8\xff\xe0"


def put(root: Path, *names: str, content: bytes = JPEG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def rows(found: PictureSet) -> list[tuple[str, str, str, str]]:
    return [(each.name, str(each.label), each.species, each.source) for each in found.presentations]


def left_out(found: PictureSet) -> dict[str, str]:
    return {each.name: each.reason for each in found.left_out}


def test_folders(tmp_path: Path) -> None:
    put(tmp_path, "bona_fide/b_1.jpg", "bona_fide/deep/er/Axon-2.png", "attack/print/x7.jpg", "attack/print/a4/y.bmp")
    put(tmp_path, "attack/loose 3.webp", "README.md", "provenance.csv")
    found = read(tmp_path)
    assert rows(found) == [
        ("bona_fide/b_1.jpg", "bona_fide", "", "b"),
        ("bona_fide/deep/er/Axon-2.png", "bona_fide", "", "axon"),
        ("attack/loose 3.webp", "attack", "unspecified", "loose"),
        ("attack/print/x7.jpg", "attack", "print", "x"),
        ("attack/print/a4/y.bmp", "attack", "print", "y"),
    ]
    assert found.left_out == ()


def test_odd_files(tmp_path: Path) -> None:
    """A file that only is named as a picture is one: the product has to answer it."""
    put(tmp_path, "bona_fide/begins", "attack/mask/.hidden.jpg", "replays/z.jpg")
    put(tmp_path, "bona_fide/notes.txt", "attack/mask/broken.jpg", content=b"no picture")
    os.mkfifo(tmp_path / "attack/mask/pipe.jpg")
    (tmp_path / "attack/mask/gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "attack/mask/linked.jpg").symlink_to(tmp_path / "bona_fide/begins")
    (tmp_path / "attack/mask/round").symlink_to(tmp_path / "attack")
    found = read(tmp_path)
    assert [name for name, *_ in rows(found)] == [
        *("bona_fide/begins", "attack/mask/broken.jpg", "attack/mask/linked.jpg"),
    ]
    assert left_out(found) == {
        "bona_fide/notes.txt": "no picture",
        "attack/mask/pipe.jpg": "no regular file",
        "attack/mask/gone.jpg": "no regular file",
        "attack/mask/round": "a link to a folder that is read already",
        "replays": "neither bona_fide/ nor attack/",
    }


def test_species_behind_a_link(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/p_1.jpg")
    (tmp_path / "set/attack").mkdir(parents=True)
    (tmp_path / "set/attack/print").symlink_to(tmp_path / "elsewhere")
    found = read(tmp_path / "set")
    assert rows(found) == [("attack/print/p_1.jpg", "attack", "print", "p")]
    assert left_out(found) == {"bona_fide": "there is no such folder"}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bona_fide").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/bona_fide/\xff_1.jpg")).write_bytes(JPEG)
    except OSError:
        pytest.skip("file names here are UTF-8 only")
    assert rows(read(tmp_path)) == [("bona_fide/\ufffd_1.jpg", "bona_fide", "", "unspecified")]


def test_list(tmp_path: Path) -> None:
    columns = "\ufeffsource,label,path,species,note\n"
    written = "phone,attack,a/1.jpg,print,x\n,bona_fide,Lab_2.jpg,print,\n,attack,/b/3.jpg\n"
    (tmp_path / "set.csv").write_text(columns + written)
    found = read(tmp_path / "set.csv")
    assert rows(found) == [
        ("a/1.jpg", "attack", "print", "phone"),
        ("Lab_2.jpg", "bona_fide", "", "lab"),
        ("/b/3.jpg", "attack", "unspecified", "unspecified"),
    ]
    assert [each.path for each in found.presentations] == [
        *(tmp_path / "a/1.jpg", tmp_path / "Lab_2.jpg", Path("/b/3.jpg")),
    ]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"", "no column label, path"),
        (b"path,species\na.jpg,print\n", "no column label"),
        (b"path,label\n", "no pictures there"),
        (b"path,label\na.jpg,live\n", "line 2: expected a path, and a label that is bona_fide or attack"),
        (b"path,label\na.jpg,attack\n,attack\n", "line 3"),
        (b'path,label\n"a.jpg,attack\n', "not CSV"),
        (b"path,label\n\xff.jpg,attack\n", "not UTF-8"),
    ],
)
def test_unusable_list(written: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(written)
    with pytest.raises(UnusableSet, match=why):
        read(tmp_path / "set.csv")


def test_folder_without_pictures(tmp_path: Path) -> None:
    put(tmp_path, "holiday.jpg")
    with pytest.raises(UnusableSet, match="no pictures there"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("axon_Mask_3.jpg", "axon"),
        ("IMG0042.JPG", "img"),
        ("selfie.jpeg", "selfie"),
        ("ünal-1.png", "ünal"),
        ("0042.jpg", "unspecified"),
        ("_x.jpg", "unspecified"),
    ],
)
def test_source_by_name(name: str, source: str) -> None:
    assert source_of(name) == source
