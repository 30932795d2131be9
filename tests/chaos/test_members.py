"""A cluster of processes grows from two nodes to five, each of these is replaced, and it shrinks to three: under
writes, with kill -9 at random in the middle of the changes. Nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raftpy.cli import http_client
from raftpy.cli.addresses import Address
from raftpy.cli.http_client import Answer, Broken, NotSent

HOST = "127.0.0.1"
PATIENCE_S = 60.0
"""Seconds after which what was waited for is taken for something that does not come."""


class Nodes:
    """Processes of ``raftpy serve`` with ids from 1 on; the cluster was begun by nodes 1 and 2."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        ports = _free_ports(count)
        self.udp = {node_id: f"{HOST}:{port}" for node_id, (port, _) in enumerate(ports, 1)}
        self.http = {node_id: Address(HOST, port) for node_id, (_, port) in enumerate(ports, 1)}
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, node_id: int) -> None:
        contacts = ",".join(f"{other}={udp}" for other, udp in self.udp.items() if other != node_id)
        command = [
            sys.executable,
            "-m",
            "raftpy",
            "serve",
            "--id",
            str(node_id),
            "--cluster",
            f"1={self.udp[1]},2={self.udp[2]}",
        ]
        command += ["--udp", self.udp[node_id], "--contacts", contacts, "--http", str(self.http[node_id])]
        command += ["--data", str(self.folder / f"n{node_id}")]
        with (self.folder / f"n{node_id}.log").open("ab") as log:
            self.processes[node_id] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, node_id: int) -> None:
        self.processes[node_id].send_signal(signal.SIGKILL)
        self.processes[node_id].wait()

    @property
    def running(self) -> list[int]:
        return [node_id for node_id, process in self.processes.items() if process.poll() is None]

    def ask(self, node_id: int, method: str, path: str, body: bytes | None = None, timeout: float = 10) -> Answer:
        return http_client.ask(self.http[node_id], method, path, body, timeout=timeout)

    def of_leader(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the leader answers, put again until one does: a change that was made already is the same once more."""
        body = None if document is None else json.dumps(document).encode()
        said: list[str] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for node_id in self.running:
                try:
                    answer = self.ask(node_id, method, path, body, timeout=15)
                except (NotSent, Broken) as error:
                    said.append(str(error))
                    continue
                if answer.status == 200:
                    return answer.json()
                said.append(f"node {node_id}: {answer.status} {answer.body[:200]!r}")
            time.sleep(0.05)
        raise AssertionError(f"{method} {path} {document}: nobody has done it: {said[-8:]}")

    def has(self, node_id: int, key: str) -> bool:
        """Whether the node itself has this key, under the value that was put."""
        answer = self.ask(node_id, "GET", f"/v1/kv/{key}?consistency=stale")
        return answer.status == 200 and answer.body == key.encode()

    def members(self, wanted: Callable[[list[int]], bool] = bool) -> list[int]:
        """Those that the leader knows, once they are as wanted: one that has just come to lead is soon told."""
        known: list[int] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for node_id in self.running:
                try:
                    if self.ask(node_id, "GET", "/v1/status").json().get("role") != "leader":
                        continue
                    known = [each["id"] for each in self.ask(node_id, "GET", "/v1/members").json()["members"]]
                except (NotSent, Broken, KeyError):
                    continue
                if wanted(known):
                    return known
            time.sleep(0.05)
        raise AssertionError(f"the members stay {known}")

    def end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


class Writer(threading.Thread):
    """Puts one value after the other, wherever one is taken; ``acknowledged`` are those that were."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__(daemon=True)
        self.nodes = nodes
        self.acknowledged: list[str] = []
        self.ended = False

    def run(self) -> None:
        number, at = 0, 1
        while not self.ended:
            key = f"k{number}"
            try:
                answer = self.nodes.ask(at, "PUT", f"/v1/kv/{key}", key.encode(), timeout=2)
            except (NotSent, Broken):
                at = self._another(at)  # whether it was written is not known: the next one has another key
                number += 1
                continue
            if answer.status == 200:
                self.acknowledged.append(key)
                number += 1
            else:
                at = self._another(at)

    def _another(self, at: int) -> int:
        time.sleep(0.01)
        running = self.nodes.running or [at]
        return running[(running.index(at) + 1) % len(running)] if at in running else running[0]


def _free_ports(count: int) -> list[tuple[int, int]]:
    """A port for datagrams and one for HTTP, so many times."""
    udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    tcp = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in (*udp, *tcp):
            each.bind((HOST, 0))
        return [(one.getsockname()[1], other.getsockname()[1]) for one, other in zip(udp, tcp, strict=True)]
    finally:
        for each in (*udp, *tcp):
            each.close()


@contextmanager
def killed_meanwhile(nodes: Nodes, source: random.Random, whom: list[int]) -> Iterator[None]:
    """While what is inside runs one of these nodes dies, and comes back soon, if the draw says so."""

    def kill() -> None:
        time.sleep(source.uniform(0.0, 0.3))
        victim = source.choice(whom)
        nodes.kill(victim)
        time.sleep(source.uniform(0.0, 0.5))
        nodes.start(victim)

    thread = threading.Thread(target=kill)
    dies = source.random() < 0.7
    if dies:
        thread.start()
    try:
        yield
    finally:
        if dies:
            thread.join()


def test_two_grow_to_five_each_is_replaced_and_three_are_left(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    nodes = Nodes(tmp_path, 10)
    writer = Writer(nodes)
    try:
        nodes.start(1)
        nodes.start(2)
        writer.start()
        for node_id in range(3, 6):
            nodes.start(node_id)
            with killed_meanwhile(nodes, source, nodes.members()):
                add = {"id": node_id, "udp": nodes.udp[node_id], "learner": False}
                nodes.of_leader("POST", "/v1/members", add)
        nodes.members([1, 2, 3, 4, 5].__eq__)
        for old in range(1, 6):
            replace(nodes, source, old, old + 5)
        nodes.members([6, 7, 8, 9, 10].__eq__)
        for gone in source.sample(range(6, 11), 2):
            with killed_meanwhile(nodes, source, [i for i in nodes.members() if i != gone]):
                nodes.of_leader("DELETE", f"/v1/members/{gone}")
            assert nodes.processes[gone].wait(PATIENCE_S) == 0, "who was removed ends well"
        writer.ended = True
        writer.join()
        left = nodes.members(lambda known: len(known) == 3)
        assert len(writer.acknowledged) > 100
        for node_id in left:
            all_there(nodes, node_id, writer.acknowledged)
    except BaseException:
        print(f"seed {seed}")
        for path in sorted(tmp_path.glob("*.log")):
            print(path.name, path.read_text()[-2000:])
        raise
    finally:
        writer.ended = True
        nodes.end()


def replace(nodes: Nodes, source: random.Random, old: int, new: int) -> None:
    """The new node takes the place of the old one, which is dead already or not."""
    nodes.start(new)
    dead = source.random() < 0.5
    if dead:
        nodes.kill(old)
    others = [new] if dead else [i for i in nodes.members() if i != old]
    with killed_meanwhile(nodes, source, others):
        nodes.of_leader("POST", f"/v1/members/{old}/replace", {"id": new, "udp": nodes.udp[new]})
    if not dead:
        assert nodes.processes[old].wait(PATIENCE_S) == 0, "who was removed ends well"


def all_there(nodes: Nodes, node_id: int, keys: list[str]) -> None:
    """The node has all of them, as soon as it has the last."""
    deadline = time.monotonic() + PATIENCE_S
    while not nodes.has(node_id, keys[-1]):
        assert time.monotonic() < deadline, f"node {node_id} does not get the last write"
        time.sleep(0.05)
    assert [key for key in keys if not nodes.has(node_id, key)] == [], f"node {node_id} has lost them"
