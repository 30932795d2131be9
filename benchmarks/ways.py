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

Beside all of these the shorter list is counted, of the modules in which a step of the way is taken. It leaves out

-   words: ``base`` and ``values``, which are passed along and mean the same everywhere;
-   modules in which something is only looked up or checked: no function of theirs that was entered gives a field or an
    item a value, or calls anything but what does neither. That is read from their text, so one that is done at its
    first line (a lease, where there is none) counts nevertheless;
-   for a proposal and a read the way of a datagram, which is listed once: both send datagrams and hear them.

``--files`` prints the modules of the shorter list with the functions that take the steps, then the others in brackets.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
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
REST = ("raftpy/runtime/rest.pyx", "run")

Call = tuple[str, str, int]
"""A file of ours, relative to the root, a function in it, and the line where that begins."""

LOOKING = frozenset(
    "len min max range isinstance getattr hasattr if elif for while return and or not in is except time time_ns "
    "PyThreadState_Get thread_id is_running is_closed _get_running_loop "
    "size_of item_of size_of_bytes at_bytes PyList_GET_SIZE PyBytes_GET_SIZE PyBytes_AS_STRING Py_REFCNT".split()
)
"""What stands before a parenthesis where nothing is done; anything else is a function of ours, or does something."""
CALLED = re.compile(r"\b(\w+)\(")
DEFINED = re.compile(r"^ *(?:async def|def|cdef|cpdef)\b[^=\n(]*\b(\w+)\(", re.MULTILINE)
GIVEN = re.compile(r"^ *(?!out\[0\])[\w.\[\]]*(?:\.\w+|\[[^=\n]*\]) (?:[-+*|&^]|<<|>>|//)?=(?!=)", re.MULTILINE)
"""A field or an item gets a value. ``out[0]`` is the second result of a function in C."""
NOT_DONE = re.compile(r'"""[\s\S]*?"""|#.*|f?"[^"\n]*"|\braise \w+\(')
"""Docstrings, comments, texts, and the exception of a check."""


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
            self.calls.append((name, code.co_name, code.co_firstlineno))

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


def module(call: Call) -> str:
    """The module of a call, as a path without an ending."""
    return call[0].rpartition(".")[0]


def modules(calls: Iterable[Call]) -> list[str]:
    """The modules of these calls, in the order in which each was entered first."""
    return list(dict.fromkeys(module(call) for call in calls if call[0] != TURN))


def common(rounds: list[list[Call]]) -> list[Call]:
    """Of the first round the calls, each once, into modules that are entered in every round."""
    if not rounds:
        return []
    everywhere = set.intersection(*(set(modules(calls)) for calls in rounds))
    return [call for call in dict.fromkeys(rounds[0]) if module(call) in everywhere]


@cache
def defined() -> frozenset[str]:
    """The names of all functions of ours."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.p[yx]*") if path.suffix != ".pyi")
    return frozenset(name for path in files for name in DEFINED.findall(path.read_text()))


@cache
def body(call: Call) -> str:
    """What stands in a function, without what is not done."""
    lines = (ROOT / call[0]).read_text().splitlines()[call[2] - 1 :]
    while lines[0].lstrip().startswith("@"):
        del lines[0]
    if call[1].startswith("<"):
        return NOT_DONE.sub("", lines[0])  # an expression within a function
    indent = len(lines[0]) - len(lines[0].lstrip())
    begin = next((at for at, line in enumerate(lines, 1) if line.split("  #")[0].endswith(":")), 1)
    end = next((at for at, line in enumerate(lines) if at >= begin and line[: indent + 1].strip()), len(lines))
    return NOT_DONE.sub("", "\n".join(lines[begin:end]))


def steps(calls: list[Call]) -> dict[str, list[str]]:
    """Module -> the functions in it that do something, and do not only look something up."""
    doing = {call for call in calls if GIVEN.search(body(call))}
    while True:  # what calls something that does something does something
        names = {name for _, name, _ in doing}
        more = {
            call
            for call in calls
            for name in CALLED.findall(body(call))
            if name in names or not (name in LOOKING or name in defined())
        } - doing
        if not more:
            break
        doing |= more
    out: dict[str, list[str]] = {}
    for call in calls:
        if call in doing:
            out.setdefault(module(call), []).append(call[1])
    return out


def shorter(way: str, found: dict[str, list[Call]]) -> dict[str, list[str]]:
    """The modules in which a step of the way is taken, with the functions that take it: see the top."""
    told = set(modules(found["datagram"])) if way in ("proposal", "read") else set()
    return {
        name: functions
        for name, functions in steps(found[way]).items()
        if not name.startswith(VOCABULARY) and name not in told
    }


def to_handlers(calls: list[Call]) -> list[list[Call]]:
    """What was entered from the beginning of a turn of the loop, or of a pass in the place of one, until its first
    message was with its handler."""
    out: list[list[Call]] = []
    turn: list[Call] | None = None
    for call in calls:
        if call[0] == TURN:
            turn = []
        elif call[:2] == REST:
            turn = [call]
        elif turn is not None:
            turn.append(call)
            if call[:2] == HANDLER:
                out.append(turn)
                turn = None
    return out


async def many(watch: Watch, once: Callable[[], Awaitable[object]]) -> list[Call]:
    """What is entered of the modules that each of many rounds goes through."""
    rounds = []
    for count in range(WARM_UP + ROUNDS):
        with watch.watched() as calls:
            await once()
        if count >= WARM_UP:
            rounds.append([call for call in calls if call[0] != TURN])
        await asyncio.sleep(0.005)
    return common(rounds)


async def lead(node: Node, node_id: int) -> None:
    """Returns when this node leads."""
    while await node.wait_for_leader(30.0) != node_id:
        await node.transfer_leadership(node_id)


async def ways(watch: Watch, config: Config) -> dict[str, list[Call]]:
    """Way -> what is entered on it, on node 1 of a cluster whose other members run."""
    out: dict[str, list[Call]] = {}
    node = Node(config, Counter())
    await node.start()
    await lead(node, config.id)
    out["proposal"] = await many(watch, lambda: node.propose(b"sixteen bytes..."))
    out["read"] = await many(watch, node.read_index)
    with watch.watched() as calls:
        await asyncio.sleep(LISTEN_S)
    out["datagram"] = common(to_handlers(calls))
    await node.stop()
    node = Node(config, Counter())
    with watch.watched() as calls:
        await node.start()
    out["restart"] = common([[call for call in calls if call[0] != TURN]])
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
    if not any(name.startswith("raftcore/") for name in modules(found["proposal"])):
        raise SystemExit("these extension modules were built without RAFTPY_LINETRACE=1: what is in C is not seen")
    for way, calls in found.items():
        names = modules(calls)
        taken = shorter(way, found)
        core = sum(name.startswith("raftcore/") for name in names)
        words = sum(name.startswith(VOCABULARY) for name in names)
        print(
            f"{way:10} {len(names):3} modules, {core} of them in raftcore, of which base and values {words}; "
            f"steps are taken in {len(taken)}"
        )
        if options.files:
            print(*(f"    {name}: {', '.join(dict.fromkeys(taken[name]))}" for name in taken), sep="\n")
            print(*(f"    ({name})" for name in names if name not in taken), sep="\n")


if __name__ == "__main__":
    main()
