"""Hosts whose packets a program carries: with delay, loss, repetition and reordering, drawn from a seed.

    with RelayedNetwork("a", "b", delay=0.05, loss=0.01, seed=seed) as network:
        network["a"].run(...)                       # hosts are those of namespaces.py
        network.conditions(delay=0.05, duplicate=0.01, reorder=0.1)
        network["a"].link.rate("100mbit")           # what leaves a

The kernel of many a machine has no queueing discipline for this (netem). The program takes the place of the router
between the hosts: each has an interface whose packets it reads and writes. It carries some tens of thousands a second,
and is no measure of speed where the processor is the limit.

`python -m tests.network.relay NUMBER:FD...` is the program. It reads what shall hold, a line of JSON each, from its
standard input, and ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import random
import selectors
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.network.namespaces import End, Host, Link, Network, command, entered

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Conditions:
    """What holds for each packet, in either direction: delays in seconds, the others as parts of all packets.

    A packet waits for `delay` and, evenly drawn, up to `jitter` more. One that is reordered does not wait at all, one
    that is repeated comes twice, and one of more than `larger` bytes vanishes (0: of any size none does).

    To each host there go `rate` bytes a second (0: as fast as it goes), one packet after the other; what would have to
    wait for more than `queue` bytes is lost. Other than a link's rate, which holds back the programs of the host that
    sends, this is a bottleneck on the way, of which they learn only by delay and loss.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    larger: int = 0
    rate: float = 0.0
    queue: float = 0.0


class RelayedNetwork(Network):
    """Hosts that reach each other through the program. Their links' rates hold for what leaves each of them."""

    def __init__(self, *names: str, mtu: int = 1500, seed: int = 0, **conditions: float) -> None:
        super().__init__(*names, mtu=mtu)
        self.seed = seed
        self.first = Conditions(**conditions)  # type: ignore[arg-type]
        self._descriptors: dict[int, int] = {}
        self._program: subprocess.Popen[str] | None = None

    def conditions(self, **conditions: float) -> None:
        """These hold from now on, and none of those before; what waits goes on waiting."""
        self._tell(Conditions(**conditions))  # type: ignore[arg-type]

    def close(self) -> None:
        if self._program is not None:
            assert self._program.stdin is not None
            with contextlib.suppress(OSError):
                self._program.stdin.close()
            self._program.wait(10)
            assert self._program.stdout is not None
            self._program.stdout.close()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        super().close()

    def _build(self) -> None:
        super()._build()
        numbered = [f"{number}:{descriptor}" for number, descriptor in self._descriptors.items()]
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.network.relay", str(self.seed), *numbered],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT, pass_fds=tuple(self._descriptors.values()),
        )  # fmt: skip
        self._tell(self.first)
        assert self._program.stdout is not None
        assert self._program.stdout.readline() == "ready\n"

    def _tell(self, conditions: Conditions) -> None:
        assert self._program is not None
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(asdict(conditions)) + "\n")
        self._program.stdin.flush()

    def _build_router(self) -> None:
        """There is none."""

    def _connect(self, host: Host, number: int) -> None:
        end = End(host.namespace, "path")
        with entered(host.namespace):
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._descriptors[number] = descriptor
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", end.interface.encode(), IFF_TUN | IFF_NO_PI))
        ip = ("ip", "-n", host.namespace)
        command(*ip, "link", "set", end.interface, "addrgenmode", "none")
        command(*ip, "link", "set", end.interface, "mtu", str(self.mtu), "txqueuelen", "5000", "up")
        command(*ip, "address", "add", f"{host.address}/24", "dev", end.interface)
        command(*ip, "address", "add", f"{host.address6}/64", "dev", end.interface, "nodad")
        command(*ip, "route", "add", "default", "dev", end.interface)
        command(*ip, "-6", "route", "add", "default", "dev", end.interface)
        host.link = Link(end, end)


def receiver(packet: bytes) -> int:
    """The number of the host that the packet is for; 0: none of ours."""
    if packet[0] >> 4 == 4:
        return packet[18] if packet[16:18] == b"\x0a\x4d" else 0
    return int.from_bytes(packet[26:28]) if packet[24:26] == b"\xfd\x77" else 0


class Relay:
    """The program: what it has read and not yet written, by the time at which it is due."""

    def __init__(self, seed: int, descriptors: dict[int, int]) -> None:
        self.dice = random.Random(seed)
        self.descriptors = descriptors
        self.conditions = Conditions()
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.count = 0
        self.told = b""  # of a line that has not come whole
        self.free: dict[int, float] = {}  # when the way to each host is

    def tell(self, told: bytes) -> None:
        """What has come on standard input; of several lines the last one holds."""
        *lines, self.told = (self.told + told).split(b"\n")
        if lines:
            self.conditions = Conditions(**json.loads(lines[-1]))

    def take(self, packet: bytes, now: float) -> None:
        """Drop the packet, or let it wait, once or twice."""
        holds = self.conditions
        to = self.descriptors.get(receiver(packet))
        if to is None or (holds.larger and len(packet) > holds.larger):
            return
        if holds.loss and self.dice.random() < holds.loss:
            return
        if holds.rate:
            free = max(now, self.free.get(to, now))
            if (free - now) * holds.rate > holds.queue:
                return
            now = self.free[to] = free + len(packet) / holds.rate
        for _ in range(1 + bool(holds.duplicate and self.dice.random() < holds.duplicate)):
            due = now
            if not (holds.reorder and self.dice.random() < holds.reorder):
                due += holds.delay + (self.dice.random() * holds.jitter if holds.jitter else 0.0)
            self.count += 1
            heapq.heappush(self.waiting, (due, self.count, to, packet))

    def give(self) -> float | None:
        """Write what is due. How long until more is, in seconds; None: nothing waits."""
        while self.waiting:
            rest = self.waiting[0][0] - time.monotonic()
            if rest > 0:
                return rest
            _, _, to, packet = heapq.heappop(self.waiting)
            with contextlib.suppress(OSError):  # the host's interface is down or its queue full: a packet lost
                os.write(to, packet)
        return None

    def run(self) -> None:
        """Until standard input ends."""
        self.conditions = Conditions(**json.loads(sys.stdin.readline()))
        print("ready", flush=True)
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ)
            for descriptor in self.descriptors.values():
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(self.give()):
                    if key.fileobj is sys.stdin:
                        told = os.read(sys.stdin.fileno(), 65536)  # past its buffer, where a second line would wait
                        if not told:
                            return
                        self.tell(told)
                    else:
                        self.read(key.fd)

    def read(self, descriptor: int) -> None:
        """What one host has sent, in turns short enough for what is due."""
        for _ in range(64):
            try:
                packet = os.read(descriptor, 65536)
            except OSError:  # nothing more, or the interface is down
                return
            self.take(packet, time.monotonic())


if __name__ == "__main__":
    pairs = [argument.split(":") for argument in sys.argv[2:]]
    Relay(int(sys.argv[1]), {int(number): int(descriptor) for number, descriptor in pairs}).run()
