"""A real Redis Cluster on loopback ports: three servers, each with a third of the slots, nothing kept on disk but the
cluster's own table.

`move` takes a slot from one node to another in the steps of a resharding, so that a test can stop in the middle.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.e2e.private_pair import MissingPrograms
from tests.services.starters import SERVICES_SCRIPT

sys.path.append(str(SERVICES_SCRIPT.parent))  # a folder of scripts, not a package

from ports import LOOPBACK, choose_ports
from prerequisites import MissingError
from processes import wait_until
from redis_server import find_server

MASTERS = 3
#: A node that is silent for so long counts as failed: short for a test, long for a busy machine.
NODE_TIMEOUT_MS = 3000
#: Failing, coming back and being believed again takes several times the above.
SETTLE_S = 60.0


class ClusterNode:
    """A server of the cluster; started again after a kill, it has the same ports and name."""

    def __init__(self, server: str, folder: Path, ports: tuple[int, int]) -> None:
        self.port, self.bus_port = ports
        self._server = server
        self._folder = folder / str(self.port)
        self._folder.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = redis.Redis(LOOPBACK, self.port, socket_timeout=10, protocol=2)
        self.admin.response_callbacks.clear()  # replies as the server sends them

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID").decode())

    def ask(self, *command: str | int | bytes) -> Any:
        """The reply of this node to a command, wherever its key may be."""
        return self.admin.execute_command(*command)

    def start(self) -> None:
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "cluster-enabled": "yes",
            "cluster-port": self.bus_port,
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-replica-validity-factor": 0,
            "repl-diskless-sync-delay": 0,
            "save": "",
            "appendonly": "no",
            "dir": self._folder,
        }
        command = [self._server, *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert wait_until(self._answers, SETTLE_S), (self._folder / "log").read_text()

    def kill(self) -> None:
        """SIGKILL; no effect when it doesn't run."""
        self.admin.connection_pool.disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ensure_running(self) -> None:
        if self._process is None:
            self.start()

    def sees_a_sound_cluster(self, of: int) -> bool:
        try:
            told = self.ask("CLUSTER", "INFO")
            nodes = self.ask("CLUSTER", "NODES")
        except redis.RedisError:
            return False
        sound = b"fail" not in nodes and b"handshake" not in nodes
        return sound and b"cluster_state:ok" in told and f"cluster_known_nodes:{of}\r".encode() in told

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False


class RedisCluster:
    """Raises MissingPrograms when this machine has no Redis server to run."""

    def __init__(self, folder: Path) -> None:
        try:
            self._server = find_server()
        except MissingError as error:
            raise MissingPrograms(str(error)) from None
        self._folder = folder
        self.nodes: list[ClusterNode] = []

    def form(self) -> None:
        """Start the nodes and wait until all agree. `close()` ends what was started, also after a failure here."""
        for _ in range(MASTERS):
            self._new_node()
        self._assign_slots()
        self.wait_until_sound()

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.nodes[0].port}/0"

    def _new_node(self) -> ClusterNode:
        port, bus_port = choose_ports(2)
        node = ClusterNode(self._server, self._folder, (port, bus_port))
        self.nodes.append(node)
        node.start()
        return node

    def _assign_slots(self) -> None:
        share = REDIS_CLUSTER_HASH_SLOTS / MASTERS
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "ADDSLOTSRANGE", round(number * share), round((number + 1) * share) - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self._meet(node)

    def _meet(self, node: ClusterNode) -> None:
        if node is not self.nodes[0]:
            self.nodes[0].ask("CLUSTER", "MEET", LOOPBACK, node.port, node.bus_port)

    def add_replica(self, of: ClusterNode) -> ClusterNode:
        replica = self._new_node()
        self._meet(replica)
        self.wait_until_sound()
        replica.ask("CLUSTER", "REPLICATE", of.id)
        assert wait_until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), SETTLE_S)
        return replica

    def wait_until_sound(self) -> None:
        """Every node runs, knows all others and finds no fault with any."""
        for node in self.nodes:
            node.ensure_running()
        assert wait_until(self._all_agree, SETTLE_S), self.nodes[0].ask("CLUSTER", "NODES").decode()

    def _all_agree(self) -> bool:
        return all(node.sees_a_sound_cluster(of=len(self.nodes)) for node in self.nodes)

    def owner_of(self, key: str) -> ClusterNode:
        slot = key_slot(key.encode())
        for first, last, (_, port, *_), *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(key)

    def begin_move(self, key: str, to: ClusterNode) -> ClusterNode:
        """The key's slot is on its way: keys that are no longer at the old owner are asked for at the new one."""
        slot, old = key_slot(key.encode()), self.owner_of(key)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old.id)
        old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        return old

    def move_keys(self, old: ClusterNode, to: ClusterNode, *keys: str | bytes) -> None:
        old.ask("MIGRATE", LOOPBACK, to.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, key: str, to: ClusterNode) -> None:
        """The slot is the new owner's, with all the keys that were left in it: other tests' may be among them."""
        slot, old = key_slot(key.encode()), self.owner_of(key)
        if left := old.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
            self.move_keys(old, to, *left)
        for node in (to, *(node for node in self.nodes if node is not to)):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.id)

    def move(self, to: ClusterNode, *keys: str) -> None:
        """Move a slot whole: `keys` are all of one slot."""
        old = self.begin_move(keys[0], to)
        self.move_keys(old, to, *keys)
        self.end_move(keys[0], to)

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
