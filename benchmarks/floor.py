"""The floor: what a durable commit on three machines costs at least in Python, without any Raft.

Three processes, plain blocking UDP sockets, LevelDB. The leader sends a command to both others, writes it synced, and
waits for the first of them, which has done the same: a majority. There is no term, no log check, no event loop and no
state machine; whatever raftpy takes above this is what those cost.
"""

from __future__ import annotations

import multiprocessing
import shutil
import socket
import tempfile
import time
from pathlib import Path

from benchmarks.rows import percentiles
from raftpy.storage.compat import open_database

STOP = b"stop"
WRITE_BUFFER = 64 << 20
WARM_UP = 100


def follower(own: socket.socket, folder: str) -> None:
    """Writes what comes and answers, until told to stop."""
    database = open_database(Path(folder), create=True, write_buffer_size=WRITE_BUFFER)
    number = 0
    while True:
        command, sender = own.recvfrom(65536)
        if command == STOP:
            return
        number += 1
        database.put(b"%08d" % number, command, sync=True)
        own.sendto(command[:8], sender)


def measure(size: int, count: int, folder: Path | None = None) -> dict[str, float]:
    """p50 and p99 in microseconds of ``count`` commands of ``size`` bytes, one after the other."""
    data = Path(tempfile.mkdtemp(prefix="raftpy-floor-", dir=folder))
    context = multiprocessing.get_context("fork")
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    others = [each.getsockname() for each in sockets[1:]]
    processes = [
        context.Process(target=follower, args=(each, str(data / str(number))), daemon=True)
        for number, each in enumerate(sockets[1:], 2)
    ]
    for process in processes:
        process.start()
    own = sockets[0]
    own.settimeout(10)
    try:
        taken = _commands(own, others, data / "1", size, WARM_UP + count)[WARM_UP:]
    finally:
        for other in others:
            own.sendto(STOP, other)
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.terminate()
        for each in sockets:
            each.close()
        shutil.rmtree(data, ignore_errors=True)
    return percentiles(taken)


def _commands(own: socket.socket, others: list[tuple[str, int]], folder: Path, size: int, count: int) -> list[float]:
    database = open_database(folder, create=True, write_buffer_size=WRITE_BUFFER)
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
