"""HTTP addresses that nodes tell one another: ``host:port`` for plain HTTP, ``https://host:port`` behind a TLS proxy.

People may write ``http://`` and leave out the port behind a scheme (80, 443); what is sent, kept and shown is one of
the two forms above. Plain HTTP has no scheme because nodes of earlier releases know that form only.
"""

from __future__ import annotations

from typing import NamedTuple

from raftcore.base.errors import ConfigError
from raftpy.transport.exchange.address import format_address, parse_address

DEFAULT_PORTS = {"http": 80, "https": 443}
ALLOWED = "allowed is host:port, http://host[:port] or https://host[:port]"
_PARTS = {"@": "user information", "?": "a query", "#": "a fragment", "/": "a path"}


class HttpAddress(NamedTuple):
    """A scheme, ``http`` or ``https``, a host without brackets, and a port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        address = format_address(self.host, self.port)
        return address if self.scheme == "http" else f"{self.scheme}://{address}"


def split_scheme(text: str) -> tuple[str, str]:
    """The scheme, and ``host:port`` with the scheme's port where none is given behind it; neither is looked at closer.

    Raises ``ConfigError`` for another scheme, and for a path, a query, a fragment or user information: what is
    redirected has these of its own.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ConfigError(f"address {text!r} has the scheme {scheme!r}: {ALLOWED}")
    for mark, part in _PARTS.items():
        if mark in rest:
            raise ConfigError(f"address {text!r} has {part}: {ALLOWED}")
    if separator and ":" not in rest.rpartition("]")[2]:
        rest = f"{rest}:{DEFAULT_PORTS[scheme]}"
    return scheme, rest


def parse_http_address(text: str) -> HttpAddress:
    """Takes an HTTP address apart without looking anything up. Raises ``ConfigError`` that names the text."""
    scheme, rest = split_scheme(text)
    return HttpAddress(scheme, *parse_address(rest))
