"""A node in a process of its own whose calls fail as a test tells it, and what it has acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.http_client import Broken, NotSent
from raftpy.storage.leveldb.segment import name_of, segments
from raftpy.system.files import SystemFiles
from tests.chaos.failing_calls import Call, FailingCalls
from tests.chaos.nodes import ask, exit_status, snapshot, status, until, words
from tests.cli.support import in_process
from tests.stalls import without_stalls

MIB = 1 << 20
QUICK = ["--election-ms", "50-100", "--heartbeat-ms", "20", "--trailing-bytes", "0"]
"""Options of a node that is soon back, and keeps no more of its log than it must."""
EIO = "Input/output error"


class FailingNode:
    """Node ``node_id`` of a cluster whose processes others start and stop; alone in its cluster, if nothing else is
    said. ``calls`` says what fails; nothing so far."""

    def __init__(self, cluster: DemoCluster, calls: FailingCalls, node_id: int = 1) -> None:
        self.cluster = cluster
        self.calls = calls
        self.node_id = node_id
        self.data = cluster.directory / f"n{node_id}"
        self.segments = self.data / "segments"
        self.used = 0
        """The number of the segment that it writes to, as long as that is not full."""
        self.former = 0
        """That of the process before that came so far."""
        self._puts = 0
        self._values: dict[str, list[bytes | None]] = {}  # by key: what it may have; None: nothing

    @classmethod
    def alone(cls, directory: Path, library: Path) -> FailingNode:
        """One that is a cluster by itself."""
        calls = FailingCalls(library, directory / "rule", f"{directory}/n1*")
        cluster = DemoCluster(1, directory=directory, options=QUICK, environments={1: calls.environment})
        return cls(cluster, calls)

    # --- its process

    @property
    def runs(self) -> bool:
        return self.cluster.pid(self.node_id) is not None

    def start(self, begin: Callable[[], None] = lambda: None) -> None:
        """Begins a process, whatever becomes of it; ``begin`` is called before that, when it is known what it uses."""
        self.used = max(segments(SystemFiles(), self.segments), default=0) + 1
        begin()
        self.cluster.start(self.node_id)

    def up(self) -> None:
        """It runs and takes writes, and has everything that it has ever acknowledged."""
        if not self.runs:
            self.start()
        until(lambda: not self.runs or self.status().get("role") == "leader", "it leads", 60.0)
        assert self.runs, self.said(0)
        self.former = self.used
        self.check()

    def kill(self) -> None:
        if self.runs:
            self.cluster.kill(self.node_id)

    def ended(self) -> int:
        """Its exit status, once it has ended by itself."""
        return exit_status(self.cluster, self.node_id)

    def stop(self) -> int:
        """Tells it to stop; its exit status."""
        self.cluster._processes[self.node_id].terminate()
        return self.ended()

    # --- what it says

    def status(self) -> dict[str, object]:
        return status(self.cluster, self.node_id)

    def printed(self) -> int:
        """How many lines it has printed, for :meth:`said`."""
        path = self.cluster.log_path(self.node_id)
        return len(words(self.cluster, self.node_id)) if path.exists() else 0

    def said(self, since: int) -> list[str]:
        """The lines behind these many that are no news of its daily life."""
        lines = words(self.cluster, self.node_id)[since:]
        kept = [line for line in lines if ": info: " not in line and "is up: udp" not in line]
        return without_stalls("\n".join(kept)).splitlines()

    def damage(self) -> list[str]:
        """What its status says of its storage."""
        found = self.status().get("damage")
        return [str(text) for text in found] if isinstance(found, list) else []

    # --- what it holds

    def put(self, size: int = 1000, key: str | None = None) -> bool:
        """One value of so many bytes, under a key of its own unless one is given; whether it was acknowledged."""
        self._puts += 1
        key = f"k{self._puts}" if key is None else key
        value = f"{self._puts} ".encode().ljust(size, b".")
        may_be = self._values.setdefault(key, [None])
        may_be.append(value)
        try:
            done = ask(self.cluster, self.node_id, "PUT", f"/v1/kv/{key}", value, timeout=10).status == 200
        except (NotSent, Broken):
            return False
        if done:
            self._values[key] = [value]
        return done

    def fill(self, size: int) -> None:
        """Writes at least so many bytes, and then one thing more; all of it is acknowledged."""
        for _ in range(-(-size // MIB)):
            assert self.put(MIB, "fill")
        assert self.put()

    def snapshot(self) -> str | None:
        """Has it apply something and take a snapshot; what went wrong."""
        assert self.put()
        answer = snapshot(self.cluster, self.node_id)
        return None if answer.status == 200 else answer.message()

    def check(self) -> None:
        """Each value that was acknowledged is there, or one that was written over it with an unknown outcome."""
        for key, may_be in self._values.items():
            answer = ask(self.cluster, self.node_id, "GET", f"/v1/kv/{key}", timeout=10)
            found = None if answer.status == 404 else answer.body
            assert found in may_be, f"{key} is lost, or has another value"

    def verify(self) -> None:
        """``raftpy store verify`` finds nothing damaged in what it has left."""
        found = in_process("store", "verify", str(self.data))
        assert found.status == 0, found.text + found.err
        assert "is whole" in found.text

    # --- what fails

    def pattern(self, path: str) -> str:
        """The path below its data directory; ``{former}``, ``{used}``: its segments, ``{next}``: the one behind."""
        numbers = {"former": self.former, "used": self.used, "next": self.used + 1}
        return str(self.data) + path.format(**{name: f"segments/{name_of(each)}" for name, each in numbers.items()})

    def fail(self, calls: Call, path: str, first: int = 1, times: int = 1) -> None:
        """See ``FailingCalls.fail``; of the path see :meth:`pattern`."""
        self.calls.fail(calls, self.pattern(path), first=first, times=times)
