"""The histories that porcupine is tested with, as ours (tests/sim/data/porcupine)."""

from __future__ import annotations

import lzma
import re
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from raftpy.sim.linearizability.history import Input, Kind, Operation, Output

ARCHIVE = Path(__file__).parent / "data" / "porcupine" / "histories.tar.xz"

DID_NOT_START = "jepsen/etcd_095.log"
"""porcupine's tests leave it out: etcd failed to start in that run."""

# The logs of Jepsen that porcupine's tests take for linearizable.
GOOD_JEPSEN = {
    *(2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102),
}
JEPSEN = {f"jepsen/etcd_{number:03}.log": number in GOOD_JEPSEN for number in range(103)}
del JEPSEN[DID_NOT_START]
KV = {f"kv/c{clients:02}-{verdict}.txt": verdict == "ok" for clients in (1, 10, 50) for verdict in ("ok", "bad")}
HISTORIES = {**JEPSEN, **KV}
"""The name of each history, and whether it is linearizable."""

JEPSEN_LINE = re.compile(r"INFO\s+jepsen\.util - (\d+)\s+:(\w+)\s+:(\w+)\s+(.*)")
KV_LINE = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key "(.*)", :value (nil|".*")\}')
KV_KINDS = {"get": Kind.READ, "put": Kind.WRITE, "append": Kind.APPEND}


@cache
def texts() -> dict[str, str]:
    """The files of the archive."""
    with lzma.open(ARCHIVE) as whole, tarfile.open(fileobj=whole) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name: file.read().decode() for member in members if (file := archive.extractfile(member))}


def initial(name: str) -> str | None:
    """The value of each key at first."""
    return "" if name in KV else None


def operations(name: str) -> list[Operation]:
    """One of the histories; a line's number stands for its time."""
    lines = texts()[name].splitlines()
    return list(kv(lines) if name in KV else jepsen(lines))


def jepsen(lines: list[str]) -> Iterator[Operation]:
    """``:info`` says that the outcome is not known. A read that fails has no effect."""
    called: dict[str, tuple[int, Input]] = {}
    for time, line in enumerate(lines):
        if (found := JEPSEN_LINE.fullmatch(line)) is None:
            continue
        process, state, kind, argument = found.groups()
        if state == "invoke":
            if kind == "read":
                asked = Input(Kind.READ)
            elif kind == "write":
                asked = Input(Kind.WRITE, int(argument))
            else:
                expected, value = argument.strip("[]").split()
                asked = Input(Kind.SWAP, int(value), int(expected))
            called[process] = (time, asked)
            continue
        call, asked = called.pop(process)
        if state == "info":
            yield Operation(int(process), None, call, None, asked, None)
        elif kind == "read":
            if state == "ok":
                seen = None if argument == "nil" else int(argument)
                yield Operation(int(process), None, call, time, asked, Output(value=seen))
        else:
            yield Operation(int(process), None, call, time, asked, Output(done=state == "ok"))
    for process, (call, asked) in called.items():
        yield Operation(int(process), None, call, None, asked, None)


def kv(lines: list[str]) -> Iterator[Operation]:
    called: dict[str, tuple[int, str, Input]] = {}
    for time, line in enumerate(lines):
        if (found := KV_LINE.fullmatch(line)) is None:
            continue
        process, state, kind, key, value = found.groups()
        if state == "invoke":
            called[process] = (time, key, Input(KV_KINDS[kind], None if value == "nil" else value.strip('"')))
        else:
            call, key, asked = called.pop(process)
            output = Output(value=value.strip('"')) if kind == "get" else Output()
            yield Operation(int(process), key, call, time, asked, output)
    for process, (call, key, asked) in called.items():
        yield Operation(int(process), key, call, None, asked, None)
