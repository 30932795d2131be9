"""Hosts in network namespaces of their own, with a router between them; all of it is gone at the end.

    with Network("a", "b", mtu=1500) as network:
        a, b = network["a"], network["b"]
        b.link.mtu(1400)                     # the router says so to whoever sends more (ICMP) ...
        b.link.drop_larger(1300)             # ... and nobody says this: a black hole
        a.link.rate("100mbit")               # a token bucket in either direction
        with a.inside():                     # sockets that are made in here live in a's namespace
            transport = UdpTransport(...)
        a.run("python3", "-c", "...")        # a program, waited for
        process = a.start("python3", "-m", "raftpy", "serve", ...)    # ended with the network, if not before

A host is reached at `address` and `address6`, from the others alone: no namespace has a link to the outside. What
changes a link takes effect at once, also in mid-run. Packets are not merged or cut by the kernel's offloads, so that a
limit in bytes, and a loss, is one of single packets.

Delay, repetition and reordering need a queueing discipline that many kernels lack: `relay.py` has them in a program.

Tests with this carry the marker `needs_namespaces`: it takes root, and the programs ip and tc of iproute2.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

NAMESPACES = Path("/run/netns")
COUNTER = itertools.count(1)
LEAST_MTU6 = 1280
"""What IPv6 takes at least (RFC 8200): below it there is none."""
CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
OFFLOADS = (0x2C, 0x24, 0x1F)
"""ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO of linux/ethtool.h."""


def unavailable() -> str | None:
    """Why this machine has no namespaces for tests; None: it has them."""
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if os.geteuid() != 0:
        return "not running as root"
    missing = [program for program in ("ip", "tc") if shutil.which(program) is None]
    return f"no program {' and '.join(missing)} (iproute2)" if missing else None


def command(*words: str) -> str:
    """Run a program of iproute2 and return what it prints; what it complains of is raised."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """This thread is in that namespace: sockets that are made meanwhile stay there. For as long as no await."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns: {namespace}")

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def without_offloads(namespace: str, interface: str) -> None:
    """Packets pass that interface as they are on a wire: none merged, none left to be cut later."""
    with entered(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for offload in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("=II", offload, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value)).ljust(40, b"\0")
            fcntl.ioctl(control, SIOCETHTOOL, request)
    # Of what a socket hands over at once (UDP_SEGMENT), which no switch of that old interface names.
    command("ip", "-n", namespace, "link", "set", interface, "gso_max_segs", "1")


class End:
    """One interface: what leaves it and what comes in can be hampered."""

    def __init__(self, namespace: str, interface: str) -> None:
        self.namespace = namespace
        self.interface = interface
        self.filtered = False

    def tc(self, *words: str) -> str:
        return command("tc", "-n", self.namespace, *words)

    def mtu(self, size: int) -> None:
        command("ip", "-n", self.namespace, "link", "set", self.interface, "mtu", str(size))

    def rate(self, rate: str | None, *, burst: str = "32kb", latency: str = "50ms") -> None:
        """What leaves goes at that rate ("100mbit"), and is lost when it has to wait for longer than `latency`."""
        with contextlib.suppress(OSError):
            self.tc("qdisc", "del", "dev", self.interface, "root")
        if rate is not None:
            words = ("tbf", "rate", rate, "burst", burst, "latency", latency)
            self.tc("qdisc", "add", "dev", self.interface, "root", *words)

    def filter(self, *, larger: int = 0, loss: float = 0.0) -> None:
        """Of what comes in, packets of more than `larger` bytes (IP header included; 0: any size passes) and that part
        of all others are dropped. Nobody is told. It replaces the filter before."""
        if not self.filtered:
            self.tc("qdisc", "add", "dev", self.interface, "clsact")
            self.filtered = True
        with contextlib.suppress(OSError):
            self.tc("filter", "del", "dev", self.interface, "ingress")
        # Classic BPF (net/core/filter.c): "ld len" and "ld rand" into the accumulator, "jgt" past the next instruction.
        # The length counts the Ethernet header, of 14 bytes. 2 is TC_ACT_SHOT, -1 TC_ACT_UNSPEC: go on.
        code: list[tuple[int, int, int, int]] = []
        if larger:
            code += [(0x80, 0, 0, 0), (0x25, 0, 1, larger + 14), (0x06, 0, 0, 2)]
        if loss:
            code += [(0x20, 0, 0, 0xFFFFF038), (0x35, 1, 0, min(int(loss * 2**32), 2**32 - 1)), (0x06, 0, 0, 2)]
        if not code:
            return
        code.append((0x06, 0, 0, 0xFFFFFFFF))
        text = ",".join([str(len(code)), *(" ".join(map(str, line)) for line in code)])
        self.tc("filter", "add", "dev", self.interface, "ingress", "bpf", "da", "bytecode", text)


class Link:
    """Between a host and the router. All of it holds for both directions, where none is named."""

    def __init__(self, host: End, router: End) -> None:
        self.host = host
        self.router = router
        self.larger = 0
        self.lost = 0.0

    def mtu(self, size: int) -> None:
        """The largest IP packet. Who sends a larger one is told, by ICMP of the router or by its own kernel."""
        self.host.mtu(size)
        self.router.mtu(size)

    def mtu_beyond(self, size: int) -> None:
        """The same, but the host's own kernel does not know it, and the router tells only who sends to the host."""
        self.router.mtu(size)

    def rate(self, rate: str | None, *, burst: str = "32kb", latency: str = "50ms") -> None:
        """As `tc` writes it, "100mbit"; None: as fast as it goes. A packet waits for at most `latency`, or is lost."""
        self.host.rate(rate, burst=burst, latency=latency)
        self.router.rate(rate, burst=burst, latency=latency)

    def drop_larger(self, size: int) -> None:
        """IP packets of more bytes vanish, and nobody is told; 0: none does."""
        self.larger = size
        self._filter()

    def loss(self, part: float) -> None:
        """That part of the packets vanishes, each for itself, in either direction; 0: none."""
        self.lost = part
        self._filter()

    def _filter(self) -> None:
        for end in (self.host, self.router):
            end.filter(larger=self.larger, loss=self.lost)

    def up(self, on: bool) -> None:
        """Pull the cable, or plug it in again."""
        command("ip", "-n", self.router.namespace, "link", "set", self.router.interface, "up" if on else "down")


class Host:
    """A namespace with one link, and programs in it."""

    def __init__(self, namespace: str, number: int) -> None:
        self.namespace = namespace
        self.address = f"10.77.{number}.2"
        self.address6 = f"fd77:{number}::2"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.link: Link  # set when the host is connected

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Sockets that this thread makes meanwhile live in this host. Do not await in it."""
        return entered(self.namespace)

    def run(self, *words: str, timeout: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a program here to its end; its output is returned as text, its exit status is the caller's to look at."""
        program = ["ip", "netns", "exec", self.namespace, *words]
        options = {"capture_output": True, "text": True, "check": False, **options}
        return subprocess.run(program, timeout=timeout, **options)  # type: ignore[call-overload]

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        """Start a program here. Its pid is the program's own; it is killed with the network if it still runs."""
        program = ["ip", "netns", "exec", self.namespace, *words]
        process = subprocess.Popen(program, **options)  # type: ignore[call-overload]
        self.processes.append(process)
        return process

    def end_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)


class Network:
    """Hosts by name. The router forwards between them, and tells by ICMP what does not fit into the next link."""

    def __init__(self, *names: str, mtu: int = 1500) -> None:
        self.prefix = f"raftpy-{os.getpid()}-{next(COUNTER)}"
        self.router = f"{self.prefix}-router"
        self.mtu = mtu
        self.names = names
        self.hosts: dict[str, Host] = {}
        self._namespaces: list[str] = []

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __enter__(self) -> Network:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the programs that were started in the hosts, and take the namespaces away."""
        for host in self.hosts.values():
            host.end_all()
        while self._namespaces:
            command("ip", "netns", "del", self._namespaces.pop())

    def _namespace(self, name: str) -> None:
        command("ip", "netns", "add", name)
        self._namespaces.append(name)
        command("ip", "-n", name, "link", "set", "lo", "up")

    def _build(self) -> None:
        self._build_router()
        for number, name in enumerate(self.names, 1):
            host = Host(f"{self.prefix}-{name}", number)
            self._namespace(host.namespace)
            self.hosts[name] = host
            self._connect(host, number)

    def _build_router(self) -> None:
        self._namespace(self.router)
        with entered(self.router):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")

    def _connect(self, host: Host, number: int) -> None:
        ends = End(host.namespace, "path"), End(self.router, f"path{number}")
        one, other = ends
        hardware = {last: f"02:00:00:00:{number:02x}:{last:02x}" for last in (1, 2)}
        made = (one.interface, "address", hardware[2], "type", "veth", "peer", "name", other.interface)
        command("ip", "-n", host.namespace, "link", "add", *made, "address", hardware[1], "netns", self.router)
        for end, last in ((one, 2), (other, 1)):
            without_offloads(end.namespace, end.interface)
            ip = ("ip", "-n", end.namespace)
            command(*ip, "link", "set", end.interface, "mtu", str(self.mtu), "up")
            command(*ip, "address", "add", f"10.77.{number}.{last}/24", "dev", end.interface)
            if self.mtu >= LEAST_MTU6:
                command(*ip, "address", "add", f"fd77:{number}::{last}/64", "dev", end.interface, "nodad")
            for there in (f"10.77.{number}.{3 - last}", f"fd77:{number}::{3 - last}")[: 1 + (self.mtu >= LEAST_MTU6)]:
                # Neighbours that are known need not be asked for, which IPv6 does only a second later.
                command(
                    *ip, "neigh", "add", there, "lladdr", hardware[3 - last], "nud", "permanent", "dev", end.interface
                )
        command("ip", "-n", host.namespace, "route", "add", "default", "via", f"10.77.{number}.1")
        if self.mtu >= LEAST_MTU6:
            command("ip", "-n", host.namespace, "-6", "route", "add", "default", "via", f"fd77:{number}::1")
        host.link = Link(one, other)
