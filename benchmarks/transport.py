"""What the transport costs: two nodes' sockets in one process, over loopback.

    python -m benchmarks.transport [--json FILE]

Rows: `message` is one heartbeat sent, flushed and received, beside `floor`, the same bytes through Python's own socket
(sendto, recv, and the recv that finds nothing); `burst32` and `burst32 floor` are the reading side of one datagram out
of 32 that wait. Times in microseconds, the best of several runs: on a busy machine the others measure the neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import Row, write_json
from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftpy.contracts.types import LocalIdentity
from raftpy.transport import UdpTransport

RUNS, TIMES, BURST = 1000, 20, 32  # short runs: one of them falls between the neighbours' turns


def best_us(work: Callable[[], None], times: int = TIMES) -> float:
    """Microseconds for one call, in the best run."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, time.perf_counter() - start)
    return best / times * 1e6


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def acquainted() -> tuple[UdpTransport, UdpTransport]:
    """Two transports that know each other; their loop is not used after this."""
    members = {1: f"127.0.0.1:{free_port()}", 2: f"127.0.0.1:{free_port()}"}
    nodes = UdpTransport(), UdpTransport()
    for node_id, node in enumerate(nodes, 1):
        node.start(LocalIdentity(node_id, node_id, 1 << 32, 1, members), lambda: None)
    for _ in range(1000):
        for node in nodes:
            node.receive()
        if nodes[0].reachable(2) and nodes[1].reachable(1):
            return nodes
        await asyncio.sleep(0.001)
    raise SystemExit("the two sockets did not find each other on loopback")


def reading_us(fill: Callable[[], object], read: Callable[[], int]) -> float:
    """Microseconds to read one of BURST datagrams; filling does not count."""
    best = float("inf")
    for _ in range(RUNS):
        fill()
        start = time.perf_counter()
        count = read()
        best = min(best, time.perf_counter() - start)
        assert count == BURST
    return best / BURST * 1e6


def heartbeat() -> Message:
    """From node 1 to node 2."""
    return Message(type=MessageType.MsgHeartbeat, to=2, from_=1, term=3, commit=7)


async def measure() -> list[Row]:
    one, two = await acquainted()
    message = heartbeat()
    taken: list[bytes] = []

    def send() -> None:
        one.send(message)
        one.flush()

    def whole() -> None:
        send()
        taken[:] = two.receive()

    times = {"message": best_us(whole)}
    assert len(taken) == 1
    writer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reader = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with writer, reader:
        reader.bind(("127.0.0.1", 0))
        reader.setblocking(False)
        target = reader.getsockname()

        def read_all() -> int:
            count = 0
            try:
                while True:
                    reader.recv(65_536)
                    count += 1
            except BlockingIOError:
                return count

        def floor() -> None:
            writer.sendto(taken[0], target)
            read_all()

        times["floor"] = best_us(floor)
        times["burst32"] = reading_us(lambda: [send() for _ in range(BURST)], lambda: len(two.receive()))
        times["burst32 floor"] = reading_us(lambda: [writer.sendto(taken[0], target) for _ in range(BURST)], read_all)
    one.close()
    two.close()
    return [Row("raftpy.transport", work, value=round(us, 2), unit="us") for work, us in times.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the transport costs, in microseconds.")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    file: Path | None = parser.parse_args().json
    rows = asyncio.run(measure())
    for row in rows:
        print(f"{row.work:<14} {row.value:>7} us")
    if file is not None:
        write_json(file, rows)


if __name__ == "__main__":
    main()
