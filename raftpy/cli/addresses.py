"""HTTP addresses as options: ``HOST:PORT``, one or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

DEFAULT_HTTP = "127.0.0.1:8101"
ENVIRONMENT = "RAFTPY_HTTP"
ALLOWED = (
    "allowed is HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:8101 or [::1]:8101, or behind a TLS proxy "
    "https://HOST[:PORT]"
)
DEFAULT_PORTS = {"http": "80", "https": "443"}


class Address(NamedTuple):
    """A host without brackets, a port, and ``http`` or ``https``."""

    host: str
    """A name or a number, IPv6 without brackets."""
    port: int
    """1 to 65535."""
    scheme: str = "http"
    """``http`` or ``https``."""

    def __str__(self) -> str:
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return address if self.scheme == "http" else f"{self.scheme}://{address}"


def parse_http(text: str) -> Address:
    """Takes ``HOST:PORT`` apart, or ``http://`` or ``https://`` and ``HOST[:PORT]``.

    Raises ``ValueError`` that names the text, and a path, a query, a fragment or user information in it.
    """
    scheme, given, rest = text.strip().partition("://")
    scheme, rest = (scheme.lower(), rest.removesuffix("/")) if given else ("http", scheme.removesuffix("/"))
    for mark, part in {"@": "user information", "?": "a query", "#": "a fragment", "/": "a path"}.items():
        if mark in rest:
            raise ValueError(f"{text!r} is no HTTP address, it has {part}: {ALLOWED}")
    if given and scheme in DEFAULT_PORTS and ":" not in rest.rpartition("]")[2]:
        rest = f"{rest}:{DEFAULT_PORTS[scheme]}"
    host, separator, port = rest.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    known = scheme in DEFAULT_PORTS and separator and host and bracketed == (":" in host) and not set(host) & set("[] ")
    if not known or not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} is no HTTP address: {ALLOWED}")
    return Address(host, int(port), scheme)


def one_address(_: click.Context, parameter: click.Parameter, value: str | None) -> Address | None:
    """Callback of an option that takes one address."""
    try:
        return None if value is None else parse_http(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def some_addresses(_: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[Address, ...]:
    """Callback of an option that may be repeated and takes addresses with commas between them; each once, in order."""
    try:
        return tuple(dict.fromkeys(parse_http(part) for value in values for part in value.split(",")))
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


F = TypeVar("F", bound=Callable[..., Any])


def http_option(function: F) -> F:
    """``--http``, which may be given several times; the parameter is a tuple of addresses, empty without it."""
    return click.option(
        "--http",
        multiple=True,
        metavar="HOST:PORT",
        callback=some_addresses,
        help=f"A node's HTTP address; several with commas or by repeating it.  [default: ${ENVIRONMENT}, "
        f"else {DEFAULT_HTTP}]",
    )(function)


def chosen(given: Sequence[Address]) -> list[Address]:
    """The addresses given, else the environment's, else the default."""
    if given:
        return list(given)
    text = os.environ.get(ENVIRONMENT) or DEFAULT_HTTP
    try:
        return list(dict.fromkeys(parse_http(part) for part in text.split(",")))
    except ValueError as error:
        raise click.UsageError(f"{ENVIRONMENT}: {error}") from None
