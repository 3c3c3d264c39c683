"""A folder of lists under a running worker: lists picked up, retained and left out, and what is logged."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from abuse.event_time import DAY_MS
from abuse.networks import lists as network_lists
from abuse.networks.lists import NetworkLists
from abuse.networks.ranges import MAX_LISTS, number_of
from abuse.networks.watched_files import Version
from config.errors import SettingsError
from tests.unit.abuse.networks.network_folders import NOW_MS, during_the_read, netset, put, touch

LISTED, OTHER, THIRD = "93.184.216.34", "8.8.8.8", "1.1.1.1"
GONE = "No such file or directory"


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "lists"
    made.mkdir()
    return made


@pytest.fixture
def file(folder) -> Path:
    """The file of the list `tor`, which holds LISTED."""
    return put(folder / "tor.netset", netset(LISTED))


@pytest.fixture
def lists(folder, file) -> NetworkLists:
    """A folder with the list `tor` alone, opened."""
    return opened(folder)


def opened(folder: Path, **texts: str) -> NetworkLists:
    """The folder with these lists added, opened."""
    for name, text in texts.items():
        put(folder / f"{name}.netset", text)
    made = NetworkLists(folder, max_age_days=14.0)
    made.open(NOW_MS)
    return made


def names(lists: NetworkLists, address: str = LISTED) -> tuple[str, ...]:
    return lists.index.names(*number_of(address))


def on(lists: NetworkLists, *addresses: str) -> list[bool]:
    """Whether each address is on the list `tor` alone."""
    return [names(lists, address) == ("tor",) for address in addresses]


def state(lists: NetworkLists, name: str = "tor"):
    (found,) = [each for each in lists.state() if each.name == name]
    return found


def refreshed(lists: NetworkLists, now_ms: int = NOW_MS) -> list[dict]:
    """Log lines of another look."""
    with capture_logs() as said:
        lists.refresh(now_ms)
    return said


def events(lists: NetworkLists, now_ms: int = NOW_MS) -> list[str]:
    return [each["event"] for each in refreshed(lists, now_ms)]


# What is a list


def test_lists_are_named_by_their_files(folder):
    put(folder / "vpn-2_x.ipset", netset(LISTED, OTHER))
    for name in ("readme.txt", ".hidden.netset"):
        put(folder / name, netset(LISTED))
    lists = opened(folder, tor=netset("93.184.216.0/24"))
    assert [names(lists, each) for each in (LISTED, OTHER, THIRD)] == [("tor", "vpn-2_x"), ("vpn-2_x",), ()]
    assert [(each.name, each.used, each.networks) for each in lists.state()] == [("tor", True, 1), ("vpn-2_x", True, 2)]


@pytest.mark.parametrize("name", ["Tor", "tor exits", "tor.exits", "x" * 33, "tör", "a\nb"])
def test_unpublishable_name_is_refused(folder, name):
    lists = opened(folder, **{name: netset(LISTED), "good": netset(LISTED)})
    assert names(lists) == ("good",)
    assert "1 to 32 of a-z, 0-9, _ and -" in state(lists, name).why


def test_files_of_one_name_stay_apart(folder):
    put(folder / "tor.ipset", netset(LISTED))
    lists = opened(folder, tor=netset(OTHER))
    assert on(lists, LISTED, OTHER) == [True, False]
    assert [(each.file, each.used) for each in lists.state()] == [("tor.ipset", True), ("tor.netset", False)]
    (folder / "tor.ipset").unlink()
    refreshed(lists)
    assert on(lists, LISTED, OTHER) == [False, True]


def test_number_of_files_is_bounded(folder):
    lists = opened(folder, **{f"list-{n:03}": netset(LISTED) for n in range(MAX_LISTS + 2)})
    assert len(names(lists)) == MAX_LISTS
    assert [each.why for each in lists.state() if not each.used] == [f"more than {MAX_LISTS} lists"] * 2


@pytest.mark.parametrize("path", ["missing", "a_file"])
def test_missing_folder_names_the_setting(tmp_path, path):
    (tmp_path / "a_file").touch()
    with pytest.raises(SettingsError, match=r"^abuse\.network_lists: .*can't be read"):
        opened(tmp_path / path)


def test_empty_folder_is_logged(folder):
    """The folder may be filled later."""
    with capture_logs() as said:
        lists = opened(folder)
    assert [each["event"] for each in said] == ["network_lists_empty"]
    put(folder / "tor.netset", netset(LISTED))
    assert events(lists) == ["network_list_used"]


@pytest.mark.parametrize("content", ["nonsense\n", "", "# x\n" + "8.8.8.8\n" * 10 + "8.8.8.\n"])
def test_broken_file_at_startup(folder, content):
    with capture_logs() as said:
        lists = opened(folder, tor=content, vpn=netset(LISTED))
    assert (names(lists), state(lists).used) == (("vpn",), False)
    assert [each["file"] for each in said if each["event"] == "network_list_left_out"] == ["tor.netset"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "can't be read: Is a directory"),
        (lambda path: os.symlink("nowhere", path), f"can't be read: {GONE}"),
        (lambda path: os.symlink(os.devnull, path), "not a regular file"),
    ],
)
def test_other_files_are_left_out(folder, make, why):
    """Without waiting for the writer of a pipe."""
    make(folder / "tor.netset")
    lists = opened(folder)
    assert (state(lists).used, state(lists).why) == (False, why)


def test_huge_file_is_refused(file, lists):
    os.truncate(file, network_lists.MAX_BYTES + 1)  # sparse: takes no room
    assert events(lists) == ["network_list_kept"]
    assert names(lists) == ("tor",)
    assert "larger than" in state(lists).why


def test_log_repeats_no_address(folder):
    many = [f"1.1.{n // 256}.{n % 256}" for n in range(500)]
    with capture_logs() as said:
        lists = opened(folder, tor=netset("93.184.216.34x", OTHER), vpn=netset(*many, "93.184.216.34x"))
    assert "93.184" not in repr(said) + repr(lists.state())
    (skipped,) = [each for each in said if each["event"] == "network_list_lines_skipped"]
    assert (skipped["file"], skipped["lines"], skipped["first"]) == ("vpn.netset", 1, (505,))


# Changes


def test_changed_list_is_used(file, lists):
    """Also with equal size and time; the index in use before stays as it was."""
    before = lists.index
    put(file, netset("93.184.216.35"))
    refreshed(lists)
    assert on(lists, LISTED, "93.184.216.35") == [False, True]
    assert [before.names(*number_of(each)) for each in (LISTED, "93.184.216.35")] == [("tor",), ()]
    put(file, netset(OTHER, THIRD))
    assert events(lists) == ["network_list_used"]
    assert on(lists, LISTED, OTHER) == [False, True]
    assert refreshed(lists) == []


def test_only_changed_files_are_read(folder, monkeypatch):
    lists = opened(folder, **dict.fromkeys(("tor", "vpn", "hosting"), netset(LISTED)))
    read, index = [], lists.index
    real = network_lists.read_version
    monkeypatch.setattr(network_lists, "read_version", lambda path, **kw: read.append(path.name) or real(path, **kw))
    refreshed(lists)
    assert (read, lists.index is index) == ([], True)
    put(folder / "vpn.netset", netset(OTHER))
    refreshed(lists)
    assert (read, names(lists)) == (["vpn.netset"], ("hosting", "tor"))


def test_files_come_and_go(folder, file, lists):
    put(folder / "vpn.netset", netset(LISTED))
    file.unlink()
    assert events(lists) == ["network_list_gone", "network_list_used"]
    assert names(lists) == ("vpn",)
    assert [each.name for each in lists.state()] == ["vpn"]


@pytest.mark.parametrize("field", ["st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"])
def test_any_sign_of_a_change_counts(field):
    same = {"st_dev": 1, "st_ino": 2, "st_size": 3, "st_mtime_ns": 4, "st_ctime_ns": 5}
    assert Version.of(SimpleNamespace(**same)) == Version.of(SimpleNamespace(**same))
    assert Version.of(SimpleNamespace(**same)) != Version.of(SimpleNamespace(**{**same, field: 9}))


class ConfigMap:
    """A folder as Kubernetes mounts it: links to files in a hidden folder, swapped by renaming a link."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.versions = folder, 0

    def write(self, **texts: str) -> None:
        self.versions += 1
        version = self.folder / f"..2026_{self.versions}"
        version.mkdir()
        for name, text in texts.items():
            put(version / f"{name}.netset", text)
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        for link in self.folder.glob("*.netset"):
            link.unlink()
        for name in texts:
            (self.folder / f"{name}.netset").symlink_to(f"..data/{name}.netset")


def test_config_map_is_followed(folder):
    mounted = ConfigMap(folder)
    mounted.write(tor=netset(LISTED), vpn=netset(LISTED))
    lists = opened(folder)
    assert names(lists) == ("tor", "vpn")
    mounted.write(tor=netset(OTHER), vpn=netset(LISTED))
    refreshed(lists)
    assert (names(lists), names(lists, OTHER)) == (("vpn",), ("tor",))
    mounted.write(tor=netset(LISTED))
    refreshed(lists)
    assert names(lists) == ("tor",)


def test_swap_during_a_read(folder, monkeypatch):
    mounted = ConfigMap(folder)
    mounted.write(tor=netset(LISTED))
    lists = opened(folder)
    mounted.write(tor=netset(LISTED, OTHER))
    during_the_read(monkeypatch, lambda: mounted.write(tor=netset(THIRD)))
    refreshed(lists)
    assert on(lists, LISTED, OTHER, THIRD) == [True, True, False], "the second version, whole"
    refreshed(lists)
    assert on(lists, LISTED, OTHER, THIRD) == [False, False, True]


def test_file_growing_during_a_read(file, lists, monkeypatch):
    put(file, netset(OTHER))
    during_the_read(monkeypatch, lambda: file.write_text(file.read_text() + f"{THIRD}\n"))
    assert refreshed(lists) == []
    assert on(lists, LISTED) == [True]
    refreshed(lists)
    assert on(lists, LISTED, OTHER, THIRD) == [False, True, True]


def test_unfinished_line_waits_for_the_rest(folder):
    """Unless the file has held still since the last look."""
    text = netset(LISTED) + "8.8.8.8/1"  # of "8.8.8.8/16\n", of which the rest is still to come
    file = put(folder / "tor.netset", text, at_ms=NOW_MS - 100)
    lists = opened(folder)
    assert on(lists, LISTED, "100.0.0.1") == [True, False]
    put(file, text + "6\n", at_ms=NOW_MS)
    refreshed(lists)
    assert on(lists, "8.8.1.1", "100.0.0.1") == [True, False]
    put(file, text + "6", at_ms=NOW_MS)
    refreshed(lists)
    assert on(lists, "8.8.1.1") == [False]
    assert events(lists) == ["network_list_used"]
    assert on(lists, "8.8.1.1") == [True]


@pytest.mark.parametrize(("at_ms", "why"), [(NOW_MS - DAY_MS, None), (NOW_MS, "still being written")])
def test_file_of_one_unfinished_line(folder, at_ms, why):
    """An old file counts at once, a new one at the second look."""
    put(folder / "tor.netset", LISTED, at_ms=at_ms)
    lists = opened(folder)
    assert (on(lists, LISTED), state(lists).why) == ([why is None], why)
    refreshed(lists)
    assert (on(lists, LISTED), state(lists).why) == ([True], None)


# What goes wrong later on


@pytest.mark.parametrize("broken", ["", "nonsense\n" * 5, netset(OTHER, OTHER, "8.8.8")])
def test_broken_file_changes_nothing(file, lists, broken):
    put(file, broken)
    (said,) = refreshed(lists)
    assert (said["event"], said["file"]) == ("network_list_kept", "tor.netset")
    assert (on(lists, LISTED, OTHER), state(lists).used) == ([True, False], True)
    assert state(lists).why.startswith("an older version is in use; the newer one: ")
    assert refreshed(lists) == []
    put(file, netset(OTHER))
    assert events(lists) == ["network_list_used"]
    assert (on(lists, OTHER), state(lists).why) == ([True], None)


def test_unreadable_file_comes_back(folder, file, lists):
    away = file.rename(folder / "away")
    file.symlink_to("nowhere")
    assert events(lists) == ["network_list_kept"]
    assert names(lists) == ("tor",)
    assert state(lists).why.endswith(f"can't be read: {GONE}")
    file.unlink()
    away.rename(file)
    assert events(lists) == ["network_list_used"]
    assert state(lists).why is None


def test_missing_folder_comes_back(folder, lists):
    away = folder.rename(folder.with_name("away"))
    (said,) = refreshed(lists)
    assert (said["event"], said["log_level"], said["kept"]) == ("network_lists_unreadable", "error", 1)
    assert (names(lists), lists.folder_fault) == (("tor",), GONE)
    assert refreshed(lists) == []
    away.rename(folder)
    put(folder / "vpn.netset", netset(LISTED))
    assert events(lists) == ["network_lists_readable_again", "network_list_used"]
    assert (names(lists), lists.folder_fault) == (("tor", "vpn"), None)


def test_refused_renewal_renews_nothing(file, lists):
    put(file, "nonsense\n")
    refreshed(lists)
    assert names(lists) == ("tor",)
    refreshed(lists, NOW_MS + 15 * DAY_MS)
    assert names(lists) == ()


def test_lists_age_without_their_folder(folder, lists):
    folder.rename(folder.with_name("away"))
    assert events(lists, NOW_MS + 15 * DAY_MS) == ["network_lists_unreadable", "network_list_left_out"]
    assert names(lists) == ()


# Age


def test_old_list_is_left_out(folder, file):
    """Logged once, and used again when renewed."""
    lists = opened(folder, vpn=netset(LISTED, date="2026-11-21"))
    on_the_edge = NOW_MS + 14 * DAY_MS
    assert refreshed(lists, on_the_edge) == []
    assert names(lists) == ("tor", "vpn")
    (said,) = refreshed(lists, on_the_edge + 1)
    assert (said["event"], said["file"], said["why"]) == ("network_list_left_out", "tor.netset", "older than 14 days")
    assert names(lists) == ("vpn",)
    assert (state(lists).used, state(lists).networks, round(state(lists).age_days)) == (False, 1, 14)
    assert refreshed(lists, on_the_edge + DAY_MS) == []
    put(file, netset(LISTED, date="2026-12-04"))
    assert events(lists, on_the_edge + DAY_MS) == ["network_list_used"]
    assert (names(lists), state(lists).age_days) == (("tor", "vpn"), 1.0)


@pytest.mark.parametrize(
    ("date", "file_days", "age_days"),
    [
        *((None, 3, 3.0), (None, 20, 20.0), ("2026-11-01", 0, 19.0)),
        *(("2126-11-20", 20, 20.0), ("2026-11-20T20:00:00Z", 20, -20 / 24)),
    ],
    ids=["file", "old file", "date", "date far ahead", "date slightly ahead"],
)
def test_age_is_of_date_or_file(folder, date, file_days, age_days):
    """A date far ahead is not believed: the list would never age."""
    put(folder / "tor.netset", netset(LISTED, date=date), at_ms=NOW_MS - file_days * DAY_MS)
    lists = opened(folder)
    assert state(lists).age_days == pytest.approx(age_days)
    assert state(lists).used is (age_days <= 14)


def test_touched_file_is_looked_at_again(folder):
    file = put(folder / "tor.netset", netset(LISTED, date=None))
    lists = opened(folder)
    touch(file, NOW_MS - 20 * DAY_MS)
    refreshed(lists)
    assert (state(lists).used, names(lists)) == (False, ())
