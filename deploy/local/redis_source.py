"""Build Redis from the source package of Debian 13, with Debian's patches, into the cache.

Works as any user and leaves the machine's package configuration alone: apt runs on lists and a sources file
of its own, derived from the addresses the machine already uses. apt checks the signatures as always.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from apt_sources import RELEASE, derive_release_sources, read_machine_sources
from build_cache import produce
from prerequisites import REDIS_BUILD_TOOLS, MissingError, ServicesError, require_commands, run_step, say
from redis_server import cached_server, find_server, is_new_enough, server_version

BUILD_OPTIONS = ("MALLOC=libc", "BUILD_TLS=no", "USE_SYSTEMD=no")
"""Nothing beyond the C library: no packages to install, and the result runs wherever it is copied."""

PROGRAMS = ("redis-server", "redis-cli")


def build_redis(if_needed: bool = False) -> Path:
    """The server program in the cache; built the first time (about a minute).

    With `if_needed`, any server that `up` would use is good enough, also one on PATH.
    """
    if if_needed:
        try:
            return Path(find_server())
        except MissingError:
            pass
    return produce("redis", cached_server, _build)


def _build(result: Path) -> str:
    require_commands(REDIS_BUILD_TOOLS, "Building Redis")
    sources = derive_release_sources(read_machine_sources())
    if not sources:
        raise MissingError(
            "Building Redis needs a Debian address in /etc/apt, and there is none. "
            "Install a redis-server >= 8 (Debian 13: package redis-server) on PATH, "
            "or name one in LIVENESS_REDIS_SERVER"
        )
    with tempfile.TemporaryDirectory(prefix="liveness-redis-") as folder:
        tree = _download(Path(folder), sources)
        _compile(tree)
        shutil.copy2(_only_description(Path(folder)), result)  # tells which of Debian's versions this is
        return _collect(tree, result)


def _download(work: Path, sources: str) -> Path:
    """Fetch the source package and unpack it with its patches applied."""
    say("downloading the Redis source package of Debian 13")
    list_file = work / "debian13.sources"
    list_file.write_text(sources, encoding="utf-8")
    (work / "lists").mkdir()
    apt = apt_command(work, list_file)
    run_step([*apt, "update"], _UNREACHABLE, cwd=work)
    _download_package(apt, work)
    tree = work / "redis"
    unpack = ["dpkg-source", "--no-check", "--extract", str(_only_description(work)), str(tree)]
    run_step(unpack, ServicesError("the Redis source package could not be unpacked"), cwd=work)
    return tree


def _download_package(apt: list[str], work: Path) -> None:
    """Fetch the newest version listed, which may be a security update; else the one of the release itself.

    A mirror can list a security update that it doesn't have. The older version is signed and patched too;
    that it lacks the last fixes is said aloud, as it is good enough on loopback only.
    """
    fetch = [*apt, "source", "--download-only"]
    try:
        run_step([*fetch, "redis"], _UNREACHABLE, cwd=work)
    except MissingError:
        say(f"the newest Redis package isn't at the machine's Debian address; trying {RELEASE}'s own version")
        for part in work.glob("redis_*"):
            part.unlink()
        run_step([*fetch, f"redis/{RELEASE}"], _UNREACHABLE, cwd=work)
        say("WARNING: this Redis lacks Debian's last security update; delete it from the cache to try again")


_UNREACHABLE = MissingError(
    "the Redis source package of Debian 13 could not be downloaded (apt's messages are above): it needs the "
    "network, and the keys in a current package debian-archive-keyring"
)


def apt_command(work: Path, list_file: Path) -> list[str]:
    """apt-get on its own lists, cache and sources; the machine's proxies and trust settings still apply."""
    options = (
        f"Dir::Etc::SourceList={list_file}",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={work / 'lists'}",
        f"Dir::Cache={work / 'cache'}",
        "APT::Sandbox::User=root",  # no switch to a user who can't read this folder
        "APT::Update::Error-Mode=any",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    )
    return ["apt-get", "--quiet", *(part for option in options for part in ("-o", option))]


def _only_description(work: Path) -> Path:
    found = list(work.glob("redis_*.dsc"))
    if len(found) != 1:
        raise ServicesError(f"expected one Redis source package, found {len(found)}")
    return found[0]


def _compile(tree: Path) -> None:
    jobs = os.cpu_count() or 1
    say(f"compiling Redis with {jobs} jobs (about a minute)")
    make = ["make", "--silent", "-C", "src", f"-j{jobs}", *BUILD_OPTIONS, *PROGRAMS]
    run_step(make, ServicesError("Redis could not be compiled (the messages are above)"), cwd=tree)


def _collect(tree: Path, result: Path) -> str:
    """Copy the programs and the licence; the folder is named for the version the program tells."""
    version = server_version(tree / "src" / "redis-server")
    if version is None or not is_new_enough(version):
        raise ServicesError("the Redis just compiled isn't of version 8 or newer")
    (result / "bin").mkdir()
    for program in PROGRAMS:
        shutil.copy2(tree / "src" / program, result / "bin" / program)
    shutil.copy2(tree / "debian" / "copyright", result / "copyright")
    return f"redis-{'.'.join(map(str, version))}"
