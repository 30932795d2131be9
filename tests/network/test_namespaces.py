"""The networks of these tests do what they say: sizes, loss, rate, black holes; and nothing stays behind."""

from __future__ import annotations

import errno
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.network.namespaces import NAMESPACES, Host, Network

pytestmark = pytest.mark.needs_namespaces

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
HEADERS = 28  # IPv4 and UDP


@pytest.fixture
def network() -> Iterator[Network]:
    with Network("a", "b") as network:
        yield network


def udp(host: Host) -> socket.socket:
    """A socket in that host, which does not let the kernel cut datagrams."""
    with host.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.bind((host.address, 7000))
    made.settimeout(1)
    return made


def drain(receiver: socket.socket) -> list[int]:
    """The sizes of what has come, until nothing comes for a while."""
    receiver.settimeout(0.2)
    sizes = []
    while True:
        try:
            sizes.append(len(receiver.recv(65536)))
        except TimeoutError:
            return sizes


def said_over_ipv6(a: Host, b: Host, *, within_s: float) -> bytes:
    """What b has of the "six" that a says to it."""
    with a.inside():
        one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with b.inside():
        other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with one, other:
        other.bind((b.address6, 7000))
        other.settimeout(within_s)
        one.sendto(b"six", (b.address6, 7000))
        return other.recv(100)


def test_hosts_reach_each_other_and_nothing_else(network: Network) -> None:
    a, b = network["a"], network["b"]
    with udp(a) as one, udp(b) as other:
        one.sendto(b"x" * 1472, (b.address, 7000))
        assert other.recvfrom(65536) == (b"x" * 1472, (a.address, 7000))
        with pytest.raises(OSError, match="unreachable"):
            network_of_others = ("192.0.2.1", 9)
            with a.inside(), socket.create_connection(network_of_others, 2):
                pass


def test_they_do_over_ipv6(network: Network) -> None:
    assert said_over_ipv6(network["a"], network["b"], within_s=1) == b"six"


def test_a_smaller_link_behind_the_router_is_told(network: Network) -> None:
    a, b = network["a"], network["b"]
    b.link.mtu(1400)
    with udp(a) as one, udp(b) as other:
        one.connect((b.address, 7000))
        one.send(b"x" * (1400 - HEADERS + 1))  # the router answers, by ICMP
        time.sleep(0.05)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE  # and is forgotten with that
        with pytest.raises(OSError) as raised:
            one.send(b"x" * (1400 - HEADERS + 1))
        assert raised.value.errno == errno.EMSGSIZE
        assert one.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1400
        one.send(b"x" * (1400 - HEADERS))
        assert drain(other) == [1400 - HEADERS]


def test_a_black_hole_is_not_told(network: Network) -> None:
    a, b = network["a"], network["b"]
    b.link.drop_larger(1300)
    with udp(a) as one, udp(b) as other:
        one.connect((b.address, 7000))
        for _ in range(3):
            for size in (1300, 1301):
                one.send(b"x" * (size - HEADERS))
        assert drain(other) == [1300 - HEADERS] * 3
        assert one.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1500
        b.link.drop_larger(0)
        one.send(b"x" * (1301 - HEADERS))
        assert drain(other) == [1301 - HEADERS]


def test_loss_is_random_and_about_as_much_as_asked_for(network: Network) -> None:
    a, b = network["a"], network["b"]
    a.link.loss(0.25)
    with udp(a) as one, udp(b) as other:
        for _ in range(1000):
            one.sendto(b"x" * 100, (b.address, 7000))
        came = len(drain(other))
    assert 650 < came < 850


def test_a_rate_holds(network: Network) -> None:
    a, b = network["a"], network["b"]
    a.link.rate("8mbit", latency="5s")
    with udp(a) as one, udp(b) as other:
        began = time.monotonic()
        for _ in range(500):
            one.sendto(b"x" * 972, (b.address, 7000))
        for _ in range(500):
            other.recv(65536)
        assert time.monotonic() - began >= 0.4  # 500 kB at 1 MB a second, less the bucket


def test_a_cable_can_be_pulled(network: Network) -> None:
    a, b = network["a"], network["b"]
    with udp(a) as one, udp(b) as other:
        b.link.up(False)
        one.sendto(b"lost", (b.address, 7000))
        assert drain(other) == []
        b.link.up(True)
        one.sendto(b"there", (b.address, 7000))
        other.settimeout(5)
        assert other.recv(100) == b"there"


def test_programs_run_inside_and_end_with_the_network() -> None:
    with Network("a") as network:
        a = network["a"]
        shown = a.run("ip", "-4", "-brief", "address", "show", "dev", "path").stdout
        assert f"{a.address}/24" in shown
        process = a.start("sleep", "60", stdout=subprocess.DEVNULL)
        assert process.poll() is None
        prefix = network.prefix
        assert [path for path in NAMESPACES.iterdir() if path.name.startswith(prefix)]
    assert process.returncode == -9
    assert [path for path in NAMESPACES.iterdir() if path.name.startswith(prefix)] == []
