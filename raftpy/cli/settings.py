"""The settings of ``raftpy serve``, from a TOML file and the command line; the command line wins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from raftpy.cli.addresses import Address, parse_http
from raftpy.cli.errors import CommandFailed, reason

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
"""As Python's logging names them, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one node needs to run. None: the default of the node. Times are in milliseconds, sizes in bytes; what a name
    says here is what ``raftpy.config.Config`` says of it."""

    id: int
    """This node's id."""
    cluster: str
    """As given: ``ID=HOST:PORT,..``."""
    data: Path
    """The data directory."""
    http: Address
    """Where clients are served."""
    udp: str | None = None
    """This node's own UDP address; None: the one in ``cluster``."""
    contacts: str | None = None
    """Other nodes to speak to from the start, as ``cluster``."""
    listen: str | None = None
    """Where to listen for the peers' datagrams; None: at the address that they are given."""
    advertise_http: Address | None = None
    """The address that clients are told in place of ``http``; None: that one."""
    tick_ms: int | None = None
    """Length of a tick."""
    heartbeat_ms: int | None = None
    """How often a leader says that it is there."""
    quiet_heartbeat_ms: int | None = None
    """The same while nothing is going on."""
    election_ms: tuple[int, int] | None = None
    """The shortest and the longest election timeout."""
    max_datagram: int | None = None
    """Bytes in a datagram."""
    log_cache_bytes: int | None = None
    """Bytes of the log's newest entries that stay in memory."""
    catch_up_rate: int | None = None
    """Bytes of the log a second that a follower which is far behind is sent."""
    snapshot_bytes: int | None = None
    """Bytes of log before the next snapshot."""
    snapshot_entries: int | None = None
    """Entries of log before the next snapshot."""
    snapshots_kept: int | None = None
    """How many snapshots are kept."""
    snapshot_rate: int | None = None
    """Bytes of snapshots a second that the node gives to others."""
    scrub_rate: int | None = None
    """Bytes a second at which what is stored is read back."""
    trailing_bytes: int | None = None
    """Bytes of log that stay behind the snapshots."""
    log_level: str = "info"
    """One of ``LOG_LEVELS``: what is below it is not printed."""
    bootstrap: bool = False
    """Take part without the members that do not answer."""
    unreliable: bool = False
    """Make the network bad on purpose."""


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number is expected")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text is expected")
    return value


def _cluster(value: object) -> str:
    """Also as a table of addresses by id, which reads better in a file."""
    if isinstance(value, dict):
        return ",".join(f"{node_id}={_text(address)}" for node_id, address in value.items())
    return _text(value)


def _http(value: object) -> Address:
    return value if isinstance(value, Address) else parse_http(_text(value))


def _http_to_serve(value: object) -> Address:
    address = _http(value)
    if address.scheme != "http":
        raise ValueError(
            "a node serves plain HTTP: give the address behind the TLS proxy here, the proxy's with --advertise-http"
        )
    return address


def _election(value: object) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})\s*[-,]\s*(\d{1,9})", _text(value))
    if match is None:
        raise ValueError('two numbers of milliseconds are expected, such as "150-300"')
    return int(match[1]), int(match[2])


def _log_level(value: object) -> str:
    level = _text(value).lower()
    if level not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)} is expected")
    return level


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


OPTIONS: Mapping[str, Callable[[Any], object]] = {
    "id": _number,
    "cluster": _cluster,
    "data": _path,
    "http": _http_to_serve,
    "udp": _text,
    "contacts": _cluster,
    "listen": _text,
    "advertise-http": _http,
    "tick-ms": _number,
    "heartbeat-ms": _number,
    "quiet-heartbeat-ms": _number,
    "election-ms": _election,
    "max-datagram": _number,
    "log-cache-bytes": _number,
    "catch-up-rate": _number,
    "snapshot-bytes": _number,
    "snapshot-entries": _number,
    "snapshots-kept": _number,
    "snapshot-rate": _number,
    "scrub-rate": _number,
    "trailing-bytes": _number,
    "log-level": _log_level,
    "bootstrap": _flag,
    "unreliable": _flag,
}
REQUIRED = ("id", "cluster", "data", "http")


def from_options(config: Path | None, options: Mapping[str, Any]) -> Settings:
    """Merges the file and the options, checks each value, and names what is missing. Raises click's errors."""
    values: dict[str, object] = {}
    if config is not None:
        for name, value in _read(config).items():
            values[name] = _checked(f"{config}: {name}", name, value)
    for parameter, value in options.items():
        if value is not None:
            name = parameter.replace("_", "-")
            values[name] = _checked(f"--{name}", name, value)
    missing = [f"--{name}" for name in REQUIRED if name not in values]
    if missing:
        where = f", or put it into {config}" if config is not None else ", or name a --config file that has it"
        raise click.UsageError(f"missing {', '.join(missing)}: give it on the command line{where}")
    return Settings(**{name.replace("-", "_"): value for name, value in values.items()})  # type: ignore[arg-type]


def _read(config: Path) -> dict[str, object]:
    try:
        table = tomllib.loads(config.read_text())
    except OSError as error:
        raise CommandFailed(f"cannot read {config}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{config} is not UTF-8, as TOML is") from None
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{config} is not TOML: {error}") from None
    for name in table:
        if name not in OPTIONS:
            raise click.UsageError(f"{config}: unknown key {name!r}: allowed are {', '.join(OPTIONS)}")
    return table


def _checked(label: str, name: str, value: object) -> object:
    try:
        return OPTIONS[name](value)
    except ValueError as error:
        raise click.UsageError(f"{label} is {str(value) if isinstance(value, Address) else value!r}: {error}") from None
