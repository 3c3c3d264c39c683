"""The services of one state folder: started, found again, stopped, killed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import processes
import service_state
from ports import choose_ports, is_free
from prerequisites import MissingError, ServicesError, WrongUseError, say
from processes import ProcessIdentity
from service_state import ServiceRecord

CLIENT = "client"
"""The port that clients connect to; every service has it."""

START_SECONDS = 90.0
STOP_SECONDS = 30.0
KILL_SECONDS = 10.0
START_ATTEMPTS = 3
LOG_LINES_SHOWN = 15

MARK_STATE = "LIVENESS_LOCAL_SERVICES_STATE"
MARK_SERVICE = "LIVENESS_LOCAL_SERVICES_NAME"
MARK_PORT = "LIVENESS_LOCAL_SERVICES_PORT_"

Ports = Mapping[str, int]


class Service(ABC):
    """Program that serves on loopback ports out of one folder."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    @abstractmethod
    def config(self) -> Path:
        """The configuration file; its absence means that the folder was deleted."""

    @abstractmethod
    def find_programs(self) -> None:
        """Find or download what `command` needs; raises `MissingError`. Called before anything is started."""

    @abstractmethod
    def prepare(self, ports: Ports) -> None:
        """Write the configuration for these ports and make the data folder ready."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line, valid after `find_programs` and `prepare`."""

    @abstractmethod
    def answers(self, ports: Ports, process: ProcessIdentity) -> bool:
        """True when this very process serves clients now; never raises, at most a few seconds."""

    @abstractmethod
    def line(self, ports: Ports) -> str:
        """The settings, each a line NAME=VALUE, that point the application here."""


class ServiceGroup:
    """The services of one state folder. The caller holds the folder's lock around every method."""

    def __init__(self, state: Path, services: list[Service]) -> None:
        self._state = state
        self._file = state / "state.json"
        self._services = {service.name: service for service in services}
        loaded = service_state.load(self._file)
        self._records = {name: loaded.get(name, ServiceRecord()) for name in self._services}

    def up(self) -> list[str]:
        """Start what doesn't run, wait until all answer, return their lines. Changes nothing when all run."""
        for service in self._services.values():
            self._end_orphans(service)
        stopped = [service for service in self._services.values() if self._find_running(service) is None]
        _find_all_programs(stopped)
        for service in self._services.values():
            if service in stopped:
                self._start(service, may_move=True)
            else:
                self._wait_for(service)
        return [service.line(self._records[name].ports) for name, service in self._services.items()]

    def start(self, name: str) -> str:
        """Start one service again on the address and data it had; returns its line."""
        service, record = self._services[name], self._records[name]
        if self._find_running(service) is not None:
            self._wait_for(service)
        elif not record.ports:
            raise WrongUseError(f"{name} was never started here: use `up` first")
        else:
            service.find_programs()
            self._start(service, may_move=False)
        return service.line(record.ports)

    def kill(self, name: str) -> None:
        """End one service the hard way (SIGKILL), as a crash would."""
        process = self._find_running(self._services[name])
        if process is None:
            raise ServicesError(f"{name} isn't running")
        processes.kill_now(process)
        if not processes.wait_gone(process, KILL_SECONDS):
            raise ServicesError(f"{name} (pid {process.pid}) didn't end on SIGKILL")
        self._record_process(name, None)

    def down(self) -> None:
        """Stop all services in order, with their data written. Ports and data stay for the next `up`."""
        running = {name: self._find_running(service) for name, service in self._services.items()}
        for process in running.values():
            if process is not None:
                processes.send_terminate(process)
        for name, process in running.items():
            self._end_orphans(self._services[name])
            if process is not None:
                self._stop(name, process)
                say(f"{name} stopped")
            if self._records[name].process is not None:
                self._record_process(name, None)

    def status(self) -> list[tuple[str, bool]]:
        """A line per service and whether it answers."""
        return [self._status_of(service) for service in self._services.values()]

    def _status_of(self, service: Service) -> tuple[str, bool]:
        process = self._find_running(service)
        ports = self._records[service.name].ports
        if process is None:
            return f"{service.name}: not running", False
        answers = service.answers(ports, process)
        word = "answers" if answers else "runs but does not answer"
        return f"{service.name}: {word}, pid {process.pid}, {' '.join(service.line(ports).splitlines())}", answers

    def _find_running(self, service: Service) -> ProcessIdentity | None:
        """The living process of a service: the recorded one, else one found by its marks."""
        record = self._records[service.name]
        if not service.config.exists():
            return None
        if processes.is_running(record.process):
            return record.process
        for process, environment in processes.find_marked(self._marks(service)):
            say(f"found {service.name} (pid {process.pid}) running without a record")
            record.ports = {name: int(environment[MARK_PORT + name]) for name in service.port_names}
            self._record_process(service.name, process)
            return process  # the oldest: younger ones are its forks
        return None

    def _end_orphans(self, service: Service) -> None:
        """End a process whose folder was deleted under it: nobody knows its port any more."""
        if service.config.exists():
            return
        for process, _ in processes.find_marked(self._marks(service)):
            say(f"{service.name} (pid {process.pid}) runs on a deleted folder: ending it")
            self._stop(service.name, process)

    def _marks(self, service: Service) -> dict[str, str]:
        return {MARK_STATE: str(self._state), MARK_SERVICE: service.name}

    def _start(self, service: Service, may_move: bool) -> None:
        """Start and wait. With `may_move`, other ports are taken when somebody else has the recorded ones."""
        for attempt in range(1, START_ATTEMPTS + 1):
            self._choose_ports(service, may_move)
            process = self._launch(service)
            if self._becomes_ready(service, process):
                return
            died = not processes.is_running(process)
            self._stop(service.name, process)
            self._record_process(service.name, None)
            port_lost = died and not self._ports_free(service)
            if not (port_lost and may_move) or attempt == START_ATTEMPTS:
                break
        how = "ended while starting" if died else f"didn't answer within {START_SECONDS:.0f} s"
        raise ServicesError(f"{service.name} {how}. The end of {service.log}:\n{_tail(service.log)}")

    def _choose_ports(self, service: Service, may_move: bool) -> None:
        record = self._records[service.name]
        if record.ports.keys() == set(service.port_names):
            if self._ports_free(service):
                return
            if not may_move:
                raise ServicesError(
                    f"a port of {service.name} ({_list(record.ports)}) is taken by another program "
                    "meanwhile; end that program, or let `up` choose new ports"
                )
            say(f"a port of {service.name} ({_list(record.ports)}) is taken meanwhile: choosing others")
        record.ports = dict(zip(service.port_names, choose_ports(len(service.port_names)), strict=True))

    def _ports_free(self, service: Service) -> bool:
        return all(is_free(port) for port in self._records[service.name].ports.values())

    def _launch(self, service: Service) -> ProcessIdentity:
        record = self._records[service.name]
        service.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        service.prepare(record.ports)
        marks = self._marks(service)
        marks |= {MARK_PORT + name: str(port) for name, port in record.ports.items()}
        say(f"starting {service.name} on port {record.ports[CLIENT]}")
        process = processes.start_detached(service.command(), service.folder, service.log, marks)
        self._record_process(service.name, process)
        return process

    def _becomes_ready(self, service: Service, process: ProcessIdentity) -> bool:
        """Wait until it answers or has ended."""
        ports = self._records[service.name].ports
        processes.wait_until(
            lambda: service.answers(ports, process) or not processes.is_running(process), START_SECONDS
        )
        return service.answers(ports, process)

    def _wait_for(self, service: Service) -> None:
        """A running service may still be starting (its `up` was interrupted); one that hangs is reported."""
        process = self._records[service.name].process
        if process is None or not self._becomes_ready(service, process):
            raise ServicesError(
                f"{service.name} runs but doesn't answer; `down` and `up` start it again. "
                f"The end of {service.log}:\n{_tail(service.log)}"
            )

    def _stop(self, name: str, process: ProcessIdentity) -> None:
        processes.send_terminate(process)
        if not processes.wait_gone(process, STOP_SECONDS):
            say(f"{name} didn't end within {STOP_SECONDS:.0f} s: killing it")
            processes.kill_now(process)
            if not processes.wait_gone(process, KILL_SECONDS):
                raise ServicesError(f"{name} (pid {process.pid}) can't be ended")

    def _record_process(self, name: str, process: ProcessIdentity | None) -> None:
        self._records[name].process = process
        if self._state.is_dir():
            service_state.save(self._file, self._records)


def _find_all_programs(services: list[Service]) -> None:
    """Tell everything that is missing at once, before anything is started."""
    missing: list[str] = []
    for service in services:
        try:
            service.find_programs()
        except MissingError as error:
            missing.append(str(error))
    if missing:
        raise MissingError("\n".join(missing))


def _list(ports: Ports) -> str:
    return ", ".join(map(str, ports.values()))


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-LOG_LINES_SHOWN:])
