"""A folder of lists under a running worker: what is picked up, what is kept, what is left out, and what is said."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from abuse.event_time import DAY_MS
from abuse.networks import lists as network_lists
from abuse.networks import watched_files
from abuse.networks.lists import NetworkLists
from abuse.networks.ranges import MAX_LISTS, number_of
from abuse.networks.watched_files import Version
from config.errors import SettingsError
from tests.unit.abuse.networks.network_folders import NOW_MS, netset, put, touch

LISTED, OTHER = "93.184.216.34", "8.8.8.8"


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "lists"
    made.mkdir()
    return made


def opened(folder: Path, now_ms: int = NOW_MS, max_age_days: float = 14.0) -> NetworkLists:
    lists = NetworkLists(folder, max_age_days=max_age_days)
    lists.open(now_ms)
    return lists


def names(lists: NetworkLists, address: str = LISTED) -> tuple[str, ...]:
    return lists.index.names(*number_of(address))


def state(lists: NetworkLists, name: str = "tor"):
    (found,) = [each for each in lists.state() if each.name == name]
    return found


def refreshed(lists: NetworkLists, now_ms: int = NOW_MS) -> list[dict]:
    """Looks again; returns what was said."""
    with capture_logs() as said:
        lists.refresh(now_ms)
    return said


def events(said: list[dict]) -> list[str]:
    return [each["event"] for each in said]


# What is a list


def test_every_netset_and_ipset_is_a_list_named_by_its_file(folder):
    put(folder / "tor.netset", netset("93.184.216.0/24"))
    put(folder / "vpn-2_x.ipset", netset(LISTED, OTHER))
    put(folder / "readme.txt", netset(LISTED))
    put(folder / ".hidden.netset", netset(LISTED))
    lists = opened(folder)
    assert names(lists) == ("tor", "vpn-2_x")
    assert names(lists, OTHER) == ("vpn-2_x",)
    assert names(lists, "1.1.1.1") == ()
    assert [(each.name, each.used, each.networks) for each in lists.state()] == [("tor", True, 1), ("vpn-2_x", True, 2)]


@pytest.mark.parametrize("name", ["Tor", "tor exits", "tor.exits", "x" * 33, "tör", "a\nb"])
def test_a_name_that_can_not_be_published_is_refused_with_the_reason(folder, name):
    put(folder / f"{name}.netset", netset(LISTED))
    put(folder / "good.netset", netset(LISTED))
    lists = opened(folder)
    assert names(lists) == ("good",)
    assert "1 to 32 of a-z, 0-9, _ and -" in state(lists, name).why


def test_two_files_of_one_name_are_not_mixed(folder):
    put(folder / "tor.ipset", netset(LISTED))
    put(folder / "tor.netset", netset(OTHER))
    lists = opened(folder)
    assert (names(lists), names(lists, OTHER)) == (("tor",), ())
    assert [(each.file, each.used) for each in lists.state()] == [("tor.ipset", True), ("tor.netset", False)]
    (folder / "tor.ipset").unlink()
    refreshed(lists)
    assert (names(lists), names(lists, OTHER)) == ((), ("tor",))


def test_files_beyond_the_limit_are_left_out_unread(folder, monkeypatch):
    for n in range(MAX_LISTS + 2):
        put(folder / f"list-{n:03}.netset", netset(LISTED))
    lists = opened(folder)
    assert len(names(lists)) == MAX_LISTS
    assert [each.why for each in lists.state() if not each.used] == [f"more than {MAX_LISTS} lists"] * 2


def test_an_empty_folder_is_said_and_filled_later(folder):
    with capture_logs() as said:
        lists = opened(folder)
    assert events(said) == ["network_lists_empty"]
    put(folder / "tor.netset", netset(LISTED))
    refreshed(lists)
    assert names(lists) == ("tor",)


@pytest.mark.parametrize("place", ["missing", "a_file"])
def test_no_folder_at_start_up_names_the_setting(tmp_path, place):
    (tmp_path / "a_file").touch()
    with pytest.raises(SettingsError, match=r"^abuse\.network_lists: .*can't be read"):
        opened(tmp_path / place)


@pytest.mark.parametrize("content", ["nonsense\n", "", "# x\n" + "8.8.8.8\n" * 10 + "8.8.8.\n"])
def test_a_broken_file_at_start_up_is_said_and_left_out(folder, content):
    put(folder / "tor.netset", content)
    put(folder / "vpn.netset", netset(LISTED))
    with capture_logs() as said:
        lists = opened(folder)
    assert names(lists) == ("vpn",)
    assert state(lists).used is False
    assert [each["file"] for each in said if each["event"] == "network_list_left_out"] == ["tor.netset"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "can't be read: Is a directory"),
        (lambda path: os.symlink("nowhere", path), "can't be read: No such file or directory"),
        (lambda path: os.symlink(os.devnull, path), "not a regular file"),
    ],
)
def test_what_is_no_regular_file_is_left_out_without_waiting_for_it(folder, make, why):
    make(folder / "tor.netset")
    lists = opened(folder)
    assert (state(lists).used, state(lists).why) == (False, why)


def test_a_huge_file_is_refused_unread(folder, monkeypatch):
    file = put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    os.truncate(file, network_lists.MAX_BYTES + 1)  # sparse: takes no room
    assert events(refreshed(lists)) == ["network_list_kept"]
    assert names(lists) == ("tor",)
    assert "larger than" in state(lists).why


def test_what_a_file_says_is_never_repeated(folder):
    put(folder / "tor.netset", netset("93.184.216.34x", OTHER))
    put(folder / "vpn.netset", netset(*[f"1.1.{n // 256}.{n % 256}" for n in range(500)], "93.184.216.34x"))
    with capture_logs() as said:
        lists = opened(folder)
    assert "93.184" not in repr(said)
    assert "93.184" not in repr(lists.state())
    (skipped,) = [each for each in said if each["event"] == "network_list_lines_skipped"]
    assert (skipped["file"], skipped["lines"], skipped["first"]) == ("vpn.netset", 1, (505,))


# Changes


def test_a_changed_list_is_picked_up_and_said_once(folder):
    put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    put(folder / "tor.netset", netset(OTHER, "1.1.1.1"))
    assert events(refreshed(lists)) == ["network_list_used"]
    assert (names(lists), names(lists, OTHER)) == ((), ("tor",))
    assert refreshed(lists) == []


def test_only_changed_files_are_read_and_an_index_with_no_change_stays(folder, monkeypatch):
    for name in ("tor", "vpn", "hosting"):
        put(folder / f"{name}.netset", netset(LISTED))
    lists = opened(folder)
    read, index = [], lists.index
    real = network_lists.read_version
    monkeypatch.setattr(network_lists, "read_version", lambda path, **kw: read.append(path.name) or real(path, **kw))
    refreshed(lists)
    assert (read, lists.index is index) == ([], True)
    put(folder / "vpn.netset", netset(OTHER))
    refreshed(lists)
    assert read == ["vpn.netset"]
    assert names(lists) == ("hosting", "tor")


def test_a_new_file_comes_in_and_a_deleted_one_goes(folder):
    tor = put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    put(folder / "vpn.netset", netset(LISTED))
    tor.unlink()
    assert events(refreshed(lists)) == ["network_list_gone", "network_list_used"]
    assert names(lists) == ("vpn",)
    assert [each.name for each in lists.state()] == ["vpn"]


@pytest.mark.parametrize("field", ["st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"])
def test_any_one_sign_of_a_change_is_enough(field):
    same = {"st_dev": 1, "st_ino": 2, "st_size": 3, "st_mtime_ns": 4, "st_ctime_ns": 5}
    before, after = SimpleNamespace(**same), SimpleNamespace(**{**same, field: 9})
    assert Version.of(before) == Version.of(SimpleNamespace(**same))
    assert Version.of(before) != Version.of(after)


def test_a_change_that_keeps_size_and_time_is_noticed(folder):
    put(folder / "tor.netset", netset("93.184.216.34"))
    lists = opened(folder)
    put(folder / "tor.netset", netset("93.184.216.35"))
    refreshed(lists)
    assert (names(lists), names(lists, "93.184.216.35")) == ((), ("tor",))


class ConfigMap:
    """A folder as Kubernetes mounts it: links to files in a hidden folder, swapped by renaming one link."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = 0

    def write(self, **texts: str) -> None:
        self.versions += 1
        version = self.folder / f"..2026_{self.versions}"
        version.mkdir()
        for name, text in texts.items():
            put(version / f"{name}.netset", text)
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        for name in texts:
            link = self.folder / f"{name}.netset"
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}.netset")
        for link in self.folder.glob("*.netset"):
            if not link.exists():
                link.unlink()


def test_a_config_map_is_followed_through_its_swaps(folder):
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


def test_a_swap_while_the_file_is_read_is_seen_at_the_next_look(folder, monkeypatch):
    mounted = ConfigMap(folder)
    mounted.write(tor=netset(LISTED))
    lists = opened(folder)
    mounted.write(tor=netset(LISTED, OTHER))
    real = os.fstat

    def swapping(descriptor):
        monkeypatch.setattr(watched_files.os, "fstat", real)
        mounted.write(tor=netset("1.1.1.1"))
        return real(descriptor)

    monkeypatch.setattr(watched_files.os, "fstat", swapping)
    refreshed(lists)
    assert (names(lists), names(lists, OTHER)) == (("tor",), ("tor",))  # the second version, whole
    refreshed(lists)
    assert (names(lists, OTHER), names(lists, "1.1.1.1")) == ((), ("tor",))


def test_a_file_that_grows_while_it_is_read_is_read_again_at_the_next_look(folder, monkeypatch):
    put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    file = put(folder / "tor.netset", netset(OTHER))
    real = os.fstat

    def growing(descriptor):
        monkeypatch.setattr(watched_files.os, "fstat", real)
        before = real(descriptor)
        with file.open("a") as writer:
            writer.write("1.1.1.1\n")
        return before

    monkeypatch.setattr(watched_files.os, "fstat", growing)
    assert refreshed(lists) == []
    assert names(lists) == ("tor",)
    refreshed(lists)
    assert (names(lists), names(lists, OTHER), names(lists, "1.1.1.1")) == ((), ("tor",), ("tor",))


def test_an_unfinished_last_line_counts_when_the_file_has_held_still(folder):
    text = netset(LISTED) + "8.8.8.8/1"  # of "8.8.8.8/16\n", of which the rest is still to come
    file = put(folder / "tor.netset", text, at_ms=NOW_MS - 100)
    lists = opened(folder)
    assert (names(lists), names(lists, "100.0.0.1")) == (("tor",), ())
    put(file, text + "6\n", at_ms=NOW_MS)
    refreshed(lists)
    assert (names(lists, "8.8.1.1"), names(lists, "100.0.0.1")) == (("tor",), ())
    put(file, text + "6", at_ms=NOW_MS)
    refreshed(lists)
    assert names(lists, "8.8.1.1") == ()
    assert events(refreshed(lists)) == ["network_list_used"]
    assert names(lists, "8.8.1.1") == ("tor",)


def test_an_unfinished_last_line_of_an_old_file_counts_at_once(folder):
    put(folder / "tor.netset", LISTED)
    assert names(opened(folder)) == ("tor",)


def test_a_file_of_one_unfinished_line_is_waited_for(folder):
    put(folder / "tor.netset", LISTED, at_ms=NOW_MS)
    lists = opened(folder)
    assert (names(lists), state(lists).why) == ((), "still being written")
    refreshed(lists)
    assert (names(lists), state(lists).why) == (("tor",), None)


# What goes wrong later on


@pytest.mark.parametrize("broken", ["", "nonsense\n" * 5, netset(OTHER, OTHER, "8.8.8")])
def test_the_last_good_version_stays_in_use_and_the_reason_is_said_once(folder, broken):
    file = put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    put(file, broken)
    (said,) = refreshed(lists)
    assert (said["event"], said["file"]) == ("network_list_kept", "tor.netset")
    assert (names(lists), names(lists, OTHER)) == (("tor",), ())
    assert state(lists).used
    assert state(lists).why.startswith("an older version is in use; the newer one: ")
    assert refreshed(lists) == []
    put(file, netset(OTHER))
    assert events(refreshed(lists)) == ["network_list_used"]
    assert (names(lists, OTHER), state(lists).why) == (("tor",), None)


def test_a_file_that_can_not_be_read_for_a_while_is_kept_and_then_read_again(folder):
    file = put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    away = file.rename(folder / "away")
    file.symlink_to("nowhere")
    assert events(refreshed(lists)) == ["network_list_kept"]
    assert names(lists) == ("tor",)
    assert state(lists).why.endswith("can't be read: No such file or directory")
    file.unlink()
    away.rename(file)
    assert events(refreshed(lists)) == ["network_list_used"]
    assert state(lists).why is None


def test_a_folder_that_vanishes_keeps_the_lists_and_says_so_once(folder):
    put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    away = folder.rename(folder.with_name("away"))
    (said,) = refreshed(lists)
    assert (said["event"], said["log_level"], said["kept"]) == ("network_lists_unreadable", "error", 1)
    assert names(lists) == ("tor",)
    assert lists.folder_fault == "No such file or directory"
    assert refreshed(lists) == []
    away.rename(folder)
    put(folder / "vpn.netset", netset(LISTED))
    assert events(refreshed(lists)) == ["network_lists_readable_again", "network_list_used"]
    assert (names(lists), lists.folder_fault) == (("tor", "vpn"), None)


def test_lists_grow_too_old_while_their_folder_is_away(folder):
    put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    folder.rename(folder.with_name("away"))
    said = refreshed(lists, NOW_MS + 15 * DAY_MS)
    assert events(said) == ["network_lists_unreadable", "network_list_left_out"]
    assert names(lists) == ()


# Age


def test_a_list_too_old_is_left_out_said_once_and_back_when_renewed(folder):
    file = put(folder / "tor.netset", netset(LISTED))
    put(folder / "vpn.netset", netset(LISTED, date="2026-11-21"))
    lists = opened(folder, NOW_MS)
    on_the_edge = NOW_MS + 14 * DAY_MS
    assert refreshed(lists, on_the_edge) == []
    assert names(lists) == ("tor", "vpn")
    (said,) = refreshed(lists, on_the_edge + 1)
    assert (said["event"], said["file"], said["why"]) == ("network_list_left_out", "tor.netset", "older than 14 days")
    assert names(lists) == ("vpn",)
    assert (state(lists).used, state(lists).networks, round(state(lists).age_days)) == (False, 1, 14)
    assert refreshed(lists, on_the_edge + DAY_MS) == []
    put(file, netset(LISTED, date="2026-12-04"))
    assert events(refreshed(lists, on_the_edge + DAY_MS)) == ["network_list_used"]
    assert (names(lists), state(lists).age_days) == (("tor", "vpn"), 1.0)


def test_without_a_date_line_the_age_is_that_of_the_file(folder):
    file = put(folder / "tor.netset", netset(LISTED, date=None), at_ms=NOW_MS - 3 * DAY_MS)
    lists = opened(folder)
    assert state(lists).age_days == 3.0
    touch(file, NOW_MS - 20 * DAY_MS)
    refreshed(lists)
    assert (state(lists).used, names(lists)) == (False, ())


def test_the_date_line_wins_over_the_time_of_the_file(folder):
    put(folder / "tor.netset", netset(LISTED, date="2026-11-01"), at_ms=NOW_MS)
    assert not state(opened(folder)).used


def test_a_date_far_ahead_is_not_believed_or_the_list_would_never_age(folder):
    put(folder / "tor.netset", netset(LISTED, date="2126-11-20"), at_ms=NOW_MS - 20 * DAY_MS)
    put(folder / "vpn.netset", netset(LISTED, date="2026-11-20T20:00:00Z"), at_ms=NOW_MS - 20 * DAY_MS)
    lists = opened(folder)
    assert names(lists) == ("vpn",)
    assert state(lists).age_days == 20.0
    assert state(lists, "vpn").age_days < 0


def test_a_refused_renewal_does_not_keep_an_old_list_alive(folder):
    file = put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    put(file, "nonsense\n")
    refreshed(lists)
    assert names(lists) == ("tor",)
    refreshed(lists, NOW_MS + 15 * DAY_MS)
    assert names(lists) == ()


def test_the_index_in_use_is_never_changed_under_a_reader(folder):
    put(folder / "tor.netset", netset(LISTED))
    lists = opened(folder)
    before = lists.index
    put(folder / "tor.netset", netset(OTHER))
    refreshed(lists)
    assert before.names(*number_of(LISTED)) == ("tor",)
    assert before.names(*number_of(OTHER)) == ()
