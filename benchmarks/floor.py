"""The floor: what a durable commit on three machines costs at least in Python, without any Raft.

Three processes, plain blocking UDP sockets, LevelDB. The leader sends a command to both others, writes it synced, and
waits for the first of them, which has done the same: a majority. There is no term, no log check, no event loop and no
state machine; whatever raftpy takes above this is what those cost. The floor of a read is one UDP round trip.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.rows import percentiles
from raftpy.system.leveldb import LevelDB

STOP = b"stop"
ANSWER = b"cpu seconds: "
WRITE_BUFFER = 64 << 20
WARM_UP = 100
ALONE_S = 30.0
"""A follower that hears nothing for so long ends: its leader is gone."""

Address = tuple[str, int]


def measure(size: int, count: int, folder: Path | None = None) -> dict[str, float]:
    """``count`` commands of ``size`` bytes, one after the other: percentiles in microseconds, CPU of all three."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="raftpy-floor-", dir=folder))
    try:
        with _followers(_write, [data / "2", data / "3"]) as (own, others):
            used = _cpu()
            taken = _commands(own, others, data / "1", size, WARM_UP + count)
            used = _cpu() - used
            theirs = sum(_stop(own, other) for other in others)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return {
        **percentiles(taken[WARM_UP:]),
        "cpu_us_per_op": round((used + theirs) * 1e6 / len(taken), 2),
        "leader_cpu_us_per_op": round(used * 1e6 / len(taken), 3),
    }


def round_trips(count: int) -> dict[str, float]:
    """``count`` datagrams of 64 B to another process and back: p50 and p99 in microseconds."""
    with _followers(_echo, [Path()]) as (own, others):
        taken = []
        message = bytes(64)
        for _ in range(WARM_UP + count):
            began = time.perf_counter()
            own.sendto(message, others[0])
            own.recv(64)
            taken.append(time.perf_counter() - began)
        _stop(own, others[0])
    return percentiles(taken[WARM_UP:])


def _write(own: socket.socket, folder: Path) -> None:
    """A follower: writes what comes and answers, until told to stop; its last answer is the CPU time it used."""
    database = LevelDB().open(folder, create=True, write_buffer_size=WRITE_BUFFER)
    began = _cpu()
    number = 0
    while True:
        command, sender = own.recvfrom(65536)
        if command == STOP:
            own.sendto(ANSWER + struct.pack("<d", _cpu() - began), sender)
            return
        number += 1
        database.put(b"%08d" % number, command, sync=True)
        own.sendto(command[:8], sender)


def _echo(own: socket.socket, folder: Path) -> None:
    """A follower that only answers."""
    while True:
        message, sender = own.recvfrom(65536)
        if message == STOP:
            own.sendto(ANSWER + struct.pack("<d", 0.0), sender)
            return
        own.sendto(message, sender)


def _follower(work: Callable[[socket.socket, Path], None], own: socket.socket, folder: Path) -> None:
    own.settimeout(ALONE_S)
    try:
        work(own, folder)
    except TimeoutError:
        os._exit(1)


@contextmanager
def _followers(
    work: Callable[[socket.socket, Path], None], folders: list[Path]
) -> Iterator[tuple[socket.socket, list[Address]]]:
    """Processes that do ``work``, one for each folder; gives the leader's socket and their addresses."""
    context = multiprocessing.get_context("fork")
    with ExitStack() as stack:
        own, *theirs = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(len(folders) + 1)
        ]
        for each in (own, *theirs):
            each.bind(("127.0.0.1", 0))
        own.settimeout(10)
        processes = [
            context.Process(target=_follower, args=(work, each, folder), daemon=True)
            for each, folder in zip(theirs, folders, strict=True)
        ]
        for process in processes:
            process.start()
        try:
            yield own, [each.getsockname() for each in theirs]
        finally:
            for process in processes:
                process.join(1)
                if process.is_alive():
                    process.kill()
                    process.join()


def _stop(own: socket.socket, other: Address) -> float:
    """Ends a follower; the CPU time that it used, in seconds."""
    own.sendto(STOP, other)
    while True:
        answer, sender = own.recvfrom(64)
        if sender == other and answer.startswith(ANSWER):  # and not the late answer to a command
            return float(struct.unpack_from("<d", answer, len(ANSWER))[0])


def _commands(own: socket.socket, others: list[Address], folder: Path, size: int, count: int) -> list[float]:
    database = LevelDB().open(folder, create=True, write_buffer_size=WRITE_BUFFER)
    payload = b"x" * size
    taken = []
    for number in range(count):
        began = time.perf_counter()
        key = b"%08d" % number
        command = key + payload
        for other in others:
            own.sendto(command, other)
        database.put(key, command, sync=True)
        while own.recv(64) != key:
            pass
        taken.append(time.perf_counter() - began)
    database.close()
    return taken


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """One measurement as a line of JSON, for benchmarks.compare: in a process of its own, because it forks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--size", type=int, help="bytes of a durable command; without it, round trips")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.size is None:
        print(json.dumps(round_trips(options.count)))
    else:
        print(json.dumps(measure(options.size, options.count, options.folder)))


if __name__ == "__main__":
    main()
