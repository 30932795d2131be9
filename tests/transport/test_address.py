"""Addresses: what is understood, and what the refusal of everything else says."""

from __future__ import annotations

import socket
import time

import pytest

from raftcore.base.errors import ConfigError
from raftpy.contracts.errors import TransportFailed
from raftpy.transport.exchange.address import (
    Address,
    format_address,
    is_loopback,
    is_wildcard,
    numeric_family,
    parse_address,
    resolve,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7101", "127.0.0.1", 7101),
        ("localhost:1", "localhost", 1),
        ("node-1.example.org:65535", "node-1.example.org", 65535),
        ("raft_node_1:80", "raft_node_1", 80),
        ("example.org.:80", "example.org.", 80),
        ("[::1]:7101", "::1", 7101),
        ("[fe80::1%eth0]:7101", "fe80::1%eth0", 7101),
        ("[::ffff:10.0.0.1]:9", "::ffff:10.0.0.1", 9),
    ],
)
def test_parse_and_format(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert address == Address(host, port)
    assert str(address) == format_address(host, port) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no port"),
        ("7101", "has no port"),
        ("localhost", "has no port"),
        ("localhost:", "has the port ''"),
        ("localhost:0", "has the port '0'"),
        ("localhost:65536", "has the port '65536'"),
        ("localhost:-1", "has the port '-1'"),
        ("localhost:http", "has the port 'http'"),
        ("localhost:٣", "has the port '٣'"),
        ("localhost:" + "9" * 5000, "has the port"),
        (":7101", "has '' for a host"),
        ("a b:7101", "has 'a b' for a host"),
        ("-x:7101", "has '-x' for a host"),
        ("a..b:7101", "has 'a..b' for a host"),
        ("http://x:7101", "without brackets"),
        ("x/y:7101", "has 'x/y' for a host"),
        ("x\r\nHost:7101", "for a host"),
        ("a" * 254 + ":7101", "for a host"),
        ("::1:7101", "without brackets"),
        ("[::1]", "has the port"),
        ("[::1:7101", "without brackets"),
        ("[localhost]:7101", "no IPv6 address in its brackets"),
        ("[127.0.0.1]:7101", "no IPv6 address in its brackets"),
        ("256.0.0.1:7101", "'256.0.0.1', which is no IPv4 address"),
        ("127.1:7101", "'127.1', which is no IPv4 address"),
        ("1:7101", "'1', which is no IPv4 address"),
    ],
)
def test_malformed(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert complaint in str(caught.value)
    assert "allowed is host:port with port 1 to 65535" in str(caught.value)


@pytest.mark.parametrize("host", ["a" * 250 + "!", "a." * 120 + "!", "a-" * 120 + "!", "_" * 10_000])
def test_hostile_names_take_no_time(host: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError):
        parse_address(host + ":7101")
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "localhost.example.org", "::"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_resolve_numbers() -> None:
    assert resolve("127.0.0.1:7101") == (socket.AF_INET, ("127.0.0.1", 7101))
    assert resolve("[::1]:7101") == (socket.AF_INET6, ("::1", 7101, 0, 0))


def test_names_are_looked_up_in_the_family_of_the_numbers_beside_them() -> None:
    assert numeric_family(["localhost:1", "10.0.0.1:1", "[::1]:1"]) == socket.AF_INET
    assert numeric_family(["localhost:1", "[::1]:1"]) == socket.AF_INET6
    assert numeric_family(["localhost:1"]) == socket.AF_UNSPEC
    assert resolve("localhost:9", socket.AF_INET) == (socket.AF_INET, ("127.0.0.1", 9))


def test_unknown_name_says_whose_and_what_to_do() -> None:
    with pytest.raises(TransportFailed) as caught:
        resolve("nowhere.invalid:7101", whose="node 3's address")
    text = str(caught.value)
    assert text.startswith("node 3's address nowhere.invalid:7101 does not resolve")
    assert "correct the name, or give a number" in text
    assert "\n" not in text


def test_other_family_is_named() -> None:
    with pytest.raises(TransportFailed, match=r"\[::1\]:7101 does not resolve to an IPv4 address.*one family"):
        resolve("[::1]:7101", socket.AF_INET)
    with pytest.raises(TransportFailed, match=r"127\.0\.0\.1:7101 does not resolve to an IPv6 address.*one family"):
        resolve("127.0.0.1:7101", socket.AF_INET6)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0::0", "::ffff:0.0.0.0", "::ffff:0:0", "::%eth0"])
def test_wildcards(host: str) -> None:
    assert is_wildcard(host)


@pytest.mark.parametrize("host", ["0.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "0", "", "*"])
def test_what_is_no_wildcard(host: str) -> None:
    assert not is_wildcard(host)


def test_a_name_of_a_wildcard_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some put 0.0.0.0 into /etc/hosts to keep a name from being reached."""
    found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("0.0.0.0", 7101))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    with pytest.raises(TransportFailed) as caught:
        resolve("blocked.example:7101", whose="node 2's address")
    assert str(caught.value) == (
        "node 2's address blocked.example:7101 resolves to 0.0.0.0, a wildcard, which names no machine"
    )
    assert resolve("0.0.0.0:7101") == (socket.AF_INET, ("0.0.0.0", 7101))  # a place to listen
