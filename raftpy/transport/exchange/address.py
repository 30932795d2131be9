"""Addresses as people write them: ``host:port``, with the host a name, an IPv4 or a bracketed IPv6 address.

``127.0.0.1:7101``, ``node1.example.org:7101``, ``[::1]:7101``, ``[fe80::1%eth0]:7101``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple

from raftcore.base.errors import ConfigError
from raftpy.contracts.errors import TransportFailed

ALLOWED = "allowed is host:port with port 1 to 65535, as in 127.0.0.1:7101, node1.example.org:7101 or [::1]:7101"

# A name as DNS and /etc/hosts know it; the underscore is not a host name's but common in container networks.
# Hellos bring names from outside: dots alone part the labels, so matching takes linear time.
_LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?\Z")

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class Address(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return format_address(self.host, self.port)


def format_address(host: str, port: int) -> str:
    """``host:port``, with brackets round an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> Address:
    """Takes ``host:port`` apart without looking anything up. Raises ``ConfigError`` that names the text."""
    host, separator, port_text = text.rpartition(":")
    if not separator:
        raise ConfigError(f"address {text!r} has no port: {ALLOWED}")
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text[:9]) <= 65535):
        raise ConfigError(f"address {text!r} has the port {port_text!r}: {ALLOWED}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ip(host, 6):
            raise ConfigError(f"address {text!r} has no IPv6 address in its brackets: {ALLOWED}")
    elif ":" in host:
        raise ConfigError(f"address {text!r} holds an IPv6 address without brackets: {ALLOWED}")
    elif re.fullmatch(r"[0-9.]+", host):
        if not _is_ip(host, 4):
            raise ConfigError(f"address {text!r} has {host!r}, which is no IPv4 address: {ALLOWED}")
    elif not _NAME.match(host):
        raise ConfigError(f"address {text!r} has {host!r} for a host: {ALLOWED}")
    return Address(host, int(port_text))


def _is_ip(host: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False


def is_number(host: str) -> bool:
    """True for an IPv4 or IPv6 address, which needs no lookup."""
    return _is_ip(host, 4) or _is_ip(host, 6)


def is_wildcard(host: str) -> bool:
    """True for an address that means every address of a machine and so names none: 0.0.0.0, ::, ::ffff:0.0.0.0."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_unspecified


def is_loopback(host: str) -> bool:
    """True when ``host`` is in 127.0.0.0/8, is ::1, or is the name ``localhost``; no other name is looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def numeric_family(addresses: Iterable[str]) -> int:
    """The family of the first address that is a number, so that names beside it are looked up in the same one.

    AF_UNSPEC when all are names: then each is what the system prefers. Raises ``ConfigError`` for a malformed address.
    """
    for address in addresses:
        host = parse_address(address).host
        if _is_ip(host, 4):
            return socket.AF_INET
        if _is_ip(host, 6):
            return socket.AF_INET6
    return socket.AF_UNSPEC


def resolve(text: str, family: int = socket.AF_UNSPEC, *, whose: str = "address") -> tuple[int, SocketAddress]:
    """Looks ``host:port`` up: (address family, what ``sendto`` and ``bind`` take, with a numeric host).

    ``family`` limits the answer to the family of this node's socket. Blocks for a name, perhaps for long.
    Raises ``ConfigError`` for a malformed address and ``TransportFailed``, beginning with ``whose``, for one that does
    not resolve, or for a name of a wildcard.
    """
    host, port = parse_address(text)
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        wanted = "an IPv4 " if family == socket.AF_INET else "an IPv6 " if family == socket.AF_INET6 else "an "
        raise TransportFailed(
            f"{whose} {text} does not resolve to {wanted}address: {reason}; correct the name, or give a number"
            + ("; all members must be of one family" if family else "")
        ) from None
    resolved_family, _, _, _, address = found[0]
    if is_wildcard(str(address[0])) and not is_wildcard(host):
        raise TransportFailed(f"{whose} {text} resolves to {address[0]}, a wildcard, which names no machine")
    return int(resolved_family), address  # type: ignore[return-value]
