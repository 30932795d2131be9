"""Three members of a measured cluster in three processes on loopback; the load is made in the leader's process.

Every system is measured through the same orders on standard input (benchmarks/member.py lists them), so that what is
compared is the systems and not their harnesses.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

LONGEST_ANSWER_S = 150.0
START_S = 60.0

Launch = Callable[[int, str, Path], list[str]]
"""The command that runs a member: from its id, the cluster as ``1=host:port,...``, and its directory."""


def free_ports(count: int, kind: socket.SocketKind) -> list[int]:
    """Ports on loopback that nobody uses just now, for UDP (``SOCK_DGRAM``) or TCP (``SOCK_STREAM``)."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class MemberProcess:
    """A running member, spoken to in lines of JSON."""

    def __init__(self, node_id: int, command: list[str], complaints: Path) -> None:
        self.id = node_id
        self._complaints = complaints
        self._unread = b""
        with complaints.open("ab") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    def read(self, within_s: float = LONGEST_ANSWER_S) -> dict[str, Any]:
        """Its next line. RuntimeError when it has ended, says that something failed, or says nothing in time."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        until = time.monotonic() + within_s
        while b"\n" not in self._unread:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                raise RuntimeError(f"member {self.id} has not answered within {within_s:.0f} s")
            got = os.read(pipe, 65536)
            if not got:
                raise RuntimeError(f"member {self.id} ended with status {self.process.wait(5)}{self._complaint()}")
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise RuntimeError(f"member {self.id}: {said['error']}")
        return said

    def complaints(self) -> str:
        """All that it has written to standard error."""
        return self._complaints.read_text(errors="replace")

    def _complaint(self) -> str:
        lines = self.complaints().strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def order(self, what: str, **options: float) -> None:
        """Hands an order in; ``read`` gives the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **options}).encode() + b"\n")
        self.process.stdin.flush()

    def tell(self, what: str, **options: float) -> dict[str, Any]:
        """Has it carry out an order; gives its answer."""
        self.order(what, **options)
        return self.read()

    def kill(self) -> None:
        """kill -9, and waits for the end of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # an order that it did not live to read


class Cluster:
    """Three members, their data below a temporary directory of ``folder``; all of it is gone at the end. Where
    ``hosts`` are given, the members have those addresses, and ``launch`` sees to it that they run there."""

    def __init__(
        self, launch: Launch, folder: Path | None = None, *, tcp: bool = False, hosts: Sequence[str] = ()
    ) -> None:
        self._launch, self._folder, self._hosts = launch, folder, hosts
        self._kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        self.members: dict[int, MemberProcess] = {}

    def __enter__(self) -> Cluster:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._data = Path(tempfile.mkdtemp(prefix="raftpy-bench-", dir=self._folder))
        ports = [7100] * 3 if self._hosts else free_ports(3, self._kind)
        hosts = self._hosts or ["127.0.0.1"] * 3
        members = enumerate(zip(hosts, ports, strict=True), 1)
        self._cluster = ",".join(f"{number}={host}:{port}" for number, (host, port) in members)
        try:
            for number in (1, 2, 3):
                self.launch(number)
            for member in self.members.values():
                member.read(START_S)
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

    def launch(self, number: int) -> MemberProcess:
        """Starts a member, for the first time or again on its data; its first line says that it is up."""
        command = self._launch(number, self._cluster, self.data_of(number))
        member = MemberProcess(number, command, self._data / f"{number}.err")
        self.members[number] = member
        return member

    def data_of(self, number: int) -> Path:
        """A member's directory."""
        return self._data / str(number)

    def kill(self, member: MemberProcess) -> None:
        """kill -9 of a member; its data stays."""
        del self.members[member.id]
        member.kill()

    def leader(self) -> MemberProcess:
        """The member that leads, as it says itself: what another has last heard may be out of date."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            for member in list(self.members.values()):
                named = self.members.get(member.tell("leader")["leader"])
                if named is not None and named.tell("leader")["leader"] == named.id:
                    return named
            time.sleep(0.01)
        raise RuntimeError(f"no member says that it leads within {START_S:.0f} s")

    def cpu_seconds(self) -> float:
        """CPU time that all members have used so far."""
        return float(sum(member.tell("usage")["cpu_s"] for member in self.members.values()))

    def run(self, what: str, **options: float) -> dict[str, float]:
        """One round of a work in the leader's process, with the CPU time that it cost all three, and the leader."""
        leader = self.leader()
        before, own_before = self.cpu_seconds(), leader.tell("usage")["cpu_s"]
        figures = leader.tell(what, **options)
        own, used = leader.tell("usage")["cpu_s"] - own_before, self.cpu_seconds() - before
        operations = max(1, figures.pop("operations"))
        figures["cpu_us_per_op"] = round(used * 1e6 / operations, 2)
        figures["leader_cpu_us_per_op"] = round(own * 1e6 / operations, 3)
        return figures


class RaftpyCluster(Cluster):
    """Three nodes of raftpy (in memory with ``durable=False``); ``batch_apply``: the state machine takes batches;
    ``catch_up_rate``: of ``Config``, 0 for None, as it is without."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        durable: bool = True,
        batch_apply: bool = False,
        catch_up_rate: int | None = None,
    ) -> None:
        def command(node_id: int, cluster: str, data: Path) -> list[str]:
            line = [sys.executable, "-m", "benchmarks.member", "--id", str(node_id), "--cluster", cluster]
            line += ["--data", str(data)] if durable else []
            line += ["--catch-up-rate", str(catch_up_rate)] if catch_up_rate is not None else []
            return line + (["--batch-apply"] if batch_apply else [])

        super().__init__(command, folder)
