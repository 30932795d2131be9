"""Runs ``raftpy`` in a process and shows what it printed and how it ended."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.http_client import Broken, NotSent
from raftpy.cli.run import run
from raftpy.cli.status import read_status
from tests.stalls import without_stalls

AnyCluster = TypeVar("AnyCluster", bound=DemoCluster)

RAFTPY = [sys.executable, "-m", "raftpy"]


@dataclass(frozen=True)
class Ended:
    """A finished process."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would change raftpy's behaviour."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAFTPY_")}
    return {**clean, "PYTHONUTF8": "1", **(extra or {})}


def raftpy(
    *arguments: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 30
) -> Ended:
    """Runs one command to its end."""
    done = subprocess.run(
        [*RAFTPY, *arguments], input=stdin, capture_output=True, timeout=timeout, check=False, env=environment(env)
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def in_process(*arguments: str) -> Ended:
    """What ``raftpy`` would print and return, without a process: for the many ways to use it wrongly."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run(arguments)
    return Ended(status, out.getvalue().encode(), err.getvalue())


def check_one_line(ended: Ended, status: int, *words: str) -> None:
    """The command failed with this status and exactly one line on stderr, which holds all the words."""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("raftpy")
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err
    assert ended.status == status, ended.err


class Serving:
    """A running ``raftpy serve``."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> None:
        command = [*before, *RAFTPY, "serve", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(env))

    def first_line(self) -> str:
        """What it says when it is up."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout: float = 15) -> Ended:
        out, err = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, out, without_stalls(err.decode()))


@contextmanager
def serving(*arguments: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> Iterator[Serving]:
    """A node that is killed at the end if it still runs. ``before``: a command that becomes the node (``nohup``)."""
    node = Serving(arguments, env, before)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.process.kill()
            node.process.communicate()


@contextmanager
def running(cluster: AnyCluster) -> Iterator[AnyCluster]:
    """Its processes are up and have a leader; gone at the end."""
    try:
        for node_id in cluster.ids:
            cluster.start(node_id)
        wait_for_leader(cluster)
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def cluster_of(size: int, directory: Path, **options: object) -> Iterator[DemoCluster]:
    """Processes that are up and have a leader; gone at the end."""
    with running(DemoCluster(size, directory=directory, **options)) as cluster:  # type: ignore[arg-type]
        yield cluster


def status_or_none(address: Address) -> dict[str, object] | None:
    try:
        return read_status(address, timeout=2)
    except (NotSent, Broken):
        return None


def wait_for_leader(cluster: DemoCluster, timeout: float = 20, after_term: int = 0) -> int:
    """The node that all running ones follow."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        running = [node_id for node_id in cluster.ids if cluster.pid(node_id) is not None]
        statuses = [status_or_none(cluster.http[node_id]) for node_id in running]
        views = {(status["leader"], status["term"]) if status is not None else None for status in statuses}
        if len(views) == 1 and (view := views.pop()) is not None:
            leader, term = view
            if isinstance(leader, int) and isinstance(term, int) and term > after_term:
                return leader
        time.sleep(0.05)
    raise AssertionError(f"no leader in {timeout} s: {statuses}")
