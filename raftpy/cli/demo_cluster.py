"""Three ``raftpy serve`` processes on loopback: started, killed, restarted, and gone at the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from raftpy.cli.addresses import Address
from raftpy.cli.errors import CommandFailed

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below the range from which systems draw the ports of outgoing connections: a port here stays free while its node is
down."""

STOP_TIMEOUT = 5.0
"""Seconds a node gets to stop cleanly."""


def own_path() -> str:
    """PYTHONPATH for a process that shall run this very raftpy, wherever it was imported from."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


def free_ports(count: int) -> list[int]:
    """Ports that are free for UDP and TCP at this moment."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise CommandFailed(f"only {len(found)} free ports in {PORTS.start} to {PORTS.stop - 1}: {count} are needed")
    return found


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


class DemoCluster:
    """The processes and the directory they live in. ``environments`` adds variables to single nodes, by id."""

    def __init__(
        self,
        size: int = 3,
        *,
        directory: Path | None = None,
        options: Iterable[str] = (),
        environments: Mapping[int, Mapping[str, str]] | None = None,
    ) -> None:
        ports = free_ports(2 * size)
        self.ids = list(range(1, size + 1))
        self.udp = {node_id: f"{HOST}:{ports[node_id - 1]}" for node_id in self.ids}
        self.http = {node_id: Address(HOST, ports[size + node_id - 1]) for node_id in self.ids}
        self.directory = directory or Path(tempfile.mkdtemp(prefix="raftpy-demo-"))
        self._options = list(options)
        self._environments = dict(environments or {})
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def command(self, node_id: int) -> list[str]:
        """How a node is started."""
        cluster = ",".join(f"{other}={address}" for other, address in self.udp.items())
        data, http = str(self.directory / f"n{node_id}"), str(self.http[node_id])
        options = ["--id", str(node_id), "--cluster", cluster, "--data", data, "--http", http, *self._options]
        # -P: not the folder we happen to be in, where an installed raftpy may have its sources lying about.
        return [sys.executable, "-P", "-m", "raftpy", "serve", *options]

    def start(self, node_id: int) -> None:
        """Starts a node's process; it is up when it answers."""
        with self.log_path(node_id).open("ab") as log:
            self._processes[node_id] = subprocess.Popen(
                self.command(node_id),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": own_path(), **self._environments.get(node_id, {})},
                start_new_session=True,  # Ctrl-C is for us; we stop them
            )

    def log_path(self, node_id: int) -> Path:
        """Where a node's output goes."""
        return self.directory / f"n{node_id}.log"

    def pid(self, node_id: int) -> int | None:
        """The process of a node, None when it is not running."""
        process = self._processes.get(node_id)
        return process.pid if process is not None and process.poll() is None else None

    def kill(self, node_id: int) -> None:
        """kill -9, and waits until the process is gone."""
        process = self._processes[node_id]
        process.kill()
        process.wait()

    def check_alive(self, expected: Iterable[int]) -> None:
        """Raises ``CommandFailed`` with the last words of a node that has ended although nobody told it to."""
        for node_id in expected:
            process = self._processes.get(node_id)
            if process is not None and process.poll() is not None:
                lines = self.log_path(node_id).read_text(errors="replace").strip().splitlines()
                words = lines[-1] if lines else "it said nothing"
                raise CommandFailed(f"node {node_id} ended with exit status {process.returncode}: {words}")

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that do not listen. May be called again."""
        running = [process for process in self._processes.values() if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def remove(self) -> None:
        """Deletes the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)
