#!/usr/bin/env python3
"""Run a real Kafka broker and a real Redis server on this machine, without Docker.

    services.py up [--secure] | down | status | packages
    services.py kill-kafka | start-kafka | kill-redis | start-redis

The path through this folder: `services` (commands) -> `lifecycle` (start, find again, stop) ->
`kafka_broker` and `redis_server` (the two services), with TLS and logins in `secure` and `secrets_folder` ->
`processes`, `ports`, `service_state`; `build_cache` keeps Kafka's jars. Exit codes: 0 done, 1 failure, 2 wrong use,
3 something needed is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# install-debian.sh asks for `packages` before the project, whose cache folder is used, is installed.
sys.path.append(str(Path(__file__).resolve().parents[2]))

import service_state
from kafka_broker import KafkaBroker, missing_packages
from lifecycle import ServiceGroup
from prerequisites import ServicesError, WrongUseError, say
from processes import require_proc
from redis_server import RedisServer
from secure import SecureKafkaBroker, SecureRedisServer

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_STATE = REPOSITORY / ".services"
SECURE_STATE = REPOSITORY / ".services-secure"
SECRETS = "secrets"
"""Folder in the state folder, there where the services are secure."""
SERVICE_NAMES = ("kafka", "redis")

COMMANDS = {
    "up": "start both, wait until they answer, print their two settings",
    "down": "stop both; ports and data stay",
    "status": "tell what runs; exit code 1 unless both answer",
    "kill-kafka": "end the broker with SIGKILL",
    "start-kafka": "start the broker again on the same port and data",
    "kill-redis": "end Redis with SIGKILL",
    "start-redis": "start Redis again on the same port and data",
    "packages": "print the Debian packages that are still missing",
}


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command and the state folder; argparse ends with exit code 2 on anything else."""
    commands = "\n".join(f"  {name:<13}{text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="services.py",
        description="A real Kafka broker and a real Redis server on this machine, without Docker.",
        epilog=f"commands:\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=list(COMMANDS), metavar="command")
    parser.add_argument(
        "--state",
        type=Path,
        help="folder of ports, data, logs (default: .services, with --secure .services-secure)",
    )
    parser.add_argument(
        "--secure", action="store_true", help="with TLS, logins and access rights; a new state folder stays so"
    )
    return parser.parse_args(arguments)


def checked_state(folder: Path) -> Path:
    """The state folder as an absolute path without links, so that its marks are always the same text."""
    state = folder.expanduser().resolve()
    if any(character in str(state) for character in ",\n\r"):
        raise WrongUseError(f"{state}: Kafka can't keep data in a folder with a comma or line break in its name")
    if state.exists() and not state.is_dir():
        raise WrongUseError(f"{state} isn't a folder")
    return state


def run(command: str, state: Path, secure: bool = False) -> int:
    """Carry out one command; raises `ServicesError`."""
    if command == "packages":
        print("".join(f"{package}\n" for package in missing_packages()), end="")
        return 0
    require_proc()
    if command != "up" and not state.exists():
        return _without_state_folder(command, state)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with service_state.exclusive(state / "lock"):
        if secure and command == "up":
            _make_secure(state)
        return _run_on_group(command, _group(state))


def _group(state: Path) -> ServiceGroup:
    if (secrets := state / SECRETS).exists():
        return ServiceGroup(
            state, [SecureKafkaBroker(state / "kafka", secrets), SecureRedisServer(state / "redis", secrets)]
        )
    return ServiceGroup(state, [KafkaBroker(state / "kafka"), RedisServer(state / "redis")])


def _make_secure(state: Path) -> None:
    """Passwords and certificates of a new state folder; one that is secure stays as it is."""
    if (state / SECRETS).exists():
        return
    if (state / "state.json").exists():
        raise WrongUseError(f"{state} has services without TLS; give --secure services a folder of their own")
    if any(character.isspace() for character in str(state)):
        raise WrongUseError(f"{state}: a shell could not take over settings with a space in them")
    # Here, since making certificates needs a package, and other commands run without any.
    from secrets_folder import make  # noqa: PLC0415

    make(state / SECRETS)


def _without_state_folder(command: str, state: Path) -> int:
    """No folder is made just to look; processes left over from a deleted one are still found and ended."""
    if command not in ("down", "status"):
        raise WrongUseError(f"nothing was started in {state}: use `up` first")
    return _run_on_group(command, _group(state))


def _run_on_group(command: str, group: ServiceGroup) -> int:
    action, _, name = command.partition("-")
    if action == "up":
        print("\n".join(group.up()))
    elif action == "down":
        group.down()
    elif action == "kill":
        group.kill(name)
    elif action == "start":
        print(group.start(name))
    else:
        states = group.status()
        print("\n".join(line for line, _ in states))
        return 0 if all(answers for _, answers in states) else 1
    return 0


def main(arguments: list[str]) -> int:
    """Entry point: errors as one readable text and the exit code they stand for."""
    parsed = parse_arguments(arguments)
    try:
        state = parsed.state or (SECURE_STATE if parsed.secure else DEFAULT_STATE)
        return run(parsed.command, checked_state(state), parsed.secure)
    except ServicesError as error:
        for line in str(error).splitlines():
            say(line)
        return error.exit_code
    except OSError as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `down` stops what was started")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
