"""Which of our files a proposal, a datagram, a restart and a read go through; docs/design.md has the figures.

    RAFTPY_LINETRACE=1 python setup.py build_ext --inplace --force
    python -m benchmarks.ways [--files]

A node leads two others over loopback, each a process of its own, so that what is seen is one node's part. Every
function that is entered says its file: in a build with line tracing those in C do so too, inline ones with the .pxd in
which they stand. Not seen, and so not counted, is what holds no function of ours: macros and C within a .pxd (tables of
constants, ``raftcore/base/lists.pxd``).

proposal    from the call of ``propose`` until its result is there, on the leader
datagram    from the event loop's call for what can be read to the handler of the message in it
restart     from the call of ``start`` on a data directory with a log until it returns
read        from the call of ``read_index`` until its index is there, on the leader

What every one of many rounds went through counts; what only some did (a tick that came in between) does not. A module's
.pyx and .pxd count once.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.cluster import MemberProcess, free_ports
from benchmarks.counter import Counter
from raftpy import Config, Node
from raftpy.config import parse_cluster

ROOT = Path(__file__).parents[1]
PACKAGES = ("raftcore", "raftpy")
VOCABULARY = ("raftcore/base/", "raftcore/values/")
ROUNDS = 40
WARM_UP = 10
LISTEN_S = 2.0
HANDLER = ("raftcore/algorithm/replication.pyx", "handle_heartbeat_response")
TURN = "asyncio: one callback of the loop"

Call = tuple[str, str]
"""A file of ours, relative to the root, and a function in it."""


class Watch:
    """Writes down which functions of ours are entered, in all threads, while ``on``."""

    def __init__(self) -> None:
        self.on = False
        self.calls: list[Call] = []
        self._names: dict[str, str | None] = {}
        threading.setprofile(self._entered)
        sys.setprofile(self._entered)

    def _entered(self, frame: FrameType, event: str, _argument: Any) -> None:
        if not self.on or event != "call":
            return
        code = frame.f_code
        name = self._names.get(code.co_filename, "")
        if name == "":
            name = self._names[code.co_filename] = named(code.co_filename)
        if name is not None and (name != TURN or code.co_name == "_run"):
            self.calls.append((name, code.co_name))

    @contextmanager
    def watched(self) -> Iterator[list[Call]]:
        """Gives the calls that are made within."""
        calls: list[Call] = []
        self.calls = calls
        self.on = True
        try:
            yield calls
        finally:
            self.on = False


def named(file: str) -> str | None:
    """A source file as it is printed; None for one that is not ours."""
    if file == asyncio.events.__file__:
        return TURN
    path = Path(file)
    relative = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return relative.as_posix() if not relative.is_absolute() and relative.parts[0] in PACKAGES else None


def modules(calls: Iterable[Call]) -> list[str]:
    """The modules of these calls, as paths without an ending, in the order in which each was entered first."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name, _ in calls if name != TURN))


def common(rounds: list[list[str]]) -> list[str]:
    """What is in every round, in the order of the first."""
    return [name for name in rounds[0] if all(name in others for others in rounds)] if rounds else []


def to_handlers(calls: list[Call]) -> list[list[Call]]:
    """What was entered from the beginning of a turn of the loop until its first message was with its handler."""
    out: list[list[Call]] = []
    turn: list[Call] | None = None
    for call in calls:
        if call[0] == TURN:
            turn = []
        elif turn is not None:
            turn.append(call)
            if call == HANDLER:
                out.append(turn)
                turn = None
    return out


async def many(watch: Watch, once: Callable[[], Awaitable[object]]) -> list[str]:
    """The modules that each of many rounds goes through."""
    rounds = []
    for count in range(WARM_UP + ROUNDS):
        with watch.watched() as calls:
            await once()
        if count >= WARM_UP:
            rounds.append(modules(calls))
        await asyncio.sleep(0.005)
    return common(rounds)


async def lead(node: Node, node_id: int) -> None:
    """Returns when this node leads."""
    while await node.wait_for_leader(30.0) != node_id:
        await node.transfer_leadership(node_id)


async def ways(watch: Watch, config: Config) -> dict[str, list[str]]:
    """Way -> its modules, on node 1 of a cluster whose other members run."""
    out: dict[str, list[str]] = {}
    node = Node(config, Counter())
    await node.start()
    await lead(node, config.id)
    out["proposal"] = await many(watch, lambda: node.propose(b"sixteen bytes..."))
    out["read"] = await many(watch, node.read_index)
    with watch.watched() as calls:
        await asyncio.sleep(LISTEN_S)
    out["datagram"] = common([modules(turn) for turn in to_handlers(calls)])
    await node.stop()
    node = Node(config, Counter())
    with watch.watched() as calls:
        await node.start()
    out["restart"] = modules(calls)
    await node.stop()
    return out


def member(node_id: int, cluster: str, folder: Path) -> MemberProcess:
    """Starts one that is not watched."""
    words = ["--id", str(node_id), "--cluster", cluster, "--data", str(folder / str(node_id))]
    return MemberProcess(node_id, [sys.executable, "-m", "benchmarks.member", *words], folder / f"{node_id}.log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="print them, and not only how many there are")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ways-") as folder:
        ports = free_ports(3, socket.SOCK_DGRAM)
        cluster = ",".join(f"{each}=127.0.0.1:{port}" for each, port in enumerate(ports, 1))
        others = [member(node_id, cluster, Path(folder)) for node_id in (2, 3)]
        try:
            found = asyncio.run(ways(Watch(), Config(id=1, cluster=parse_cluster(cluster), data_dir=f"{folder}/1")))
        finally:
            for each in others:
                each.process.kill()
                each.process.wait()
    if not any(name.startswith("raftcore/") for name in found["proposal"]):
        raise SystemExit("these extension modules were built without RAFTPY_LINETRACE=1: what is in C is not seen")
    for way, names in found.items():
        core = sum(name.startswith("raftcore/") for name in names)
        words = sum(name.startswith(VOCABULARY) for name in names)
        print(f"{way:10} {len(names):3} modules, {core} of them in raftcore, of which base and values {words}")
        if options.files:
            print(*(f"    {name}" for name in names), sep="\n")


if __name__ == "__main__":
    main()
