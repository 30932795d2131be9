"""HTTP addresses as options: ``HOST:PORT``, one or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

DEFAULT_HTTP = "127.0.0.1:8101"
ENVIRONMENT = "RAFTPY_HTTP"
ALLOWED = "allowed is HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:8101 or [::1]:8101"


class Address(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_http(text: str) -> Address:
    """Takes ``HOST:PORT`` apart, with or without ``http://``. Raises ``ValueError`` that names the text."""
    host, separator, port = text.strip().removeprefix("http://").rstrip("/").rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    known = separator and host and bracketed == (":" in host) and not set(host) & set("/?#@[] ")
    if not known or not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} is no HTTP address: {ALLOWED}")
    return Address(host, int(port))


class HttpAddress(click.ParamType):
    """One address, as a click type."""

    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return parse_http(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class HttpAddresses(click.ParamType):
    """Several addresses with commas between them, as a click type."""

    name = "HOST:PORT[,..]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Address, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(parse_http(part) for part in str(value).split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


F = TypeVar("F", bound=Callable[..., Any])


def http_option(function: F) -> F:
    """``--http``, which may be given several times; the parameter is a tuple of tuples."""
    return click.option(
        "--http",
        "http",
        type=HttpAddresses(),
        multiple=True,
        metavar="HOST:PORT",
        help=f"A node's HTTP address; several with commas or by repeating it.  [default: ${ENVIRONMENT}, "
        f"else {DEFAULT_HTTP}]",
    )(function)


def chosen(given: Sequence[Sequence[Address]]) -> list[Address]:
    """The addresses of the ``--http`` options, else the environment's, else the default; each once, in order."""
    if given:
        return list(dict.fromkeys(address for several in given for address in several))
    text = os.environ.get(ENVIRONMENT) or DEFAULT_HTTP
    try:
        return list(dict.fromkeys(parse_http(part) for part in text.split(",")))
    except ValueError as error:
        raise click.UsageError(f"{ENVIRONMENT}: {error}") from None
