"""Three members of raftpy in three processes on loopback; the load is made in the leader's process."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any


def free_udp_ports(count: int) -> list[int]:
    """Ports that nobody uses just now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class MemberProcess:
    """A running ``benchmarks.member``."""

    def __init__(self, node_id: int, cluster: str, data: Path | None, *, batch_apply: bool) -> None:
        command = [sys.executable, "-m", "benchmarks.member", "--id", str(node_id), "--cluster", cluster]
        if data is not None:
            command += ["--data", str(data)]
        if batch_apply:
            command.append("--batch-apply")
        self.id = node_id
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> dict[str, Any]:
        """Its next line. Raises RuntimeError when it has ended, or says that something failed."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"member {self.id} ended with status {self.process.wait(5)}")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise RuntimeError(f"member {self.id}: {said['error']}")
        return said

    def tell(self, what: str, **options: float) -> dict[str, Any]:
        """Has it carry out an order; gives its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **options}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def kill(self) -> None:
        """kill -9, and waits for the end of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class RaftpyCluster:
    """Three members, their data below a temporary directory of ``folder`` (in memory with ``durable=False``)."""

    def __init__(self, folder: Path | None = None, *, durable: bool = True, batch_apply: bool = False) -> None:
        self._folder, self._durable, self._batch_apply = folder, durable, batch_apply
        self.members: dict[int, MemberProcess] = {}

    def __enter__(self) -> RaftpyCluster:
        self._data = Path(tempfile.mkdtemp(prefix="raftpy-bench-", dir=self._folder))
        ports = free_udp_ports(3)
        cluster = ",".join(f"{number}=127.0.0.1:{port}" for number, port in enumerate(ports, 1))
        try:
            for number in (1, 2, 3):
                data = self._data / str(number) if self._durable else None
                self.members[number] = MemberProcess(number, cluster, data, batch_apply=self._batch_apply)
            for member in self.members.values():
                member.read()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for member in self.members.values():
            member.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def leader(self) -> MemberProcess:
        """The member that leads."""
        return self.members[next(iter(self.members.values())).tell("leader")["leader"]]

    def cpu_seconds(self) -> float:
        """CPU time that all members have used so far."""
        return float(sum(member.tell("usage")["cpu_s"] for member in self.members.values()))

    def run(self, what: str, **options: float) -> dict[str, float]:
        """One round of a work in the leader's process, with the CPU time that it cost all three."""
        leader = self.leader()
        before = self.cpu_seconds()
        figures = leader.tell(what, **options)
        used = self.cpu_seconds() - before
        figures["cpu_us_per_op"] = round(used * 1e6 / figures.pop("operations"), 2)
        return figures
