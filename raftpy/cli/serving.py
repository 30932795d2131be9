"""Runs one node with its HTTP server: opens everything in order, says so in one line, closes it in reverse."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import socket
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from raftpy import RaftError, Removed, Unreliable, __version__
from raftpy.cli.addresses import Address
from raftpy.cli.errors import CommandFailed, reason
from raftpy.cli.settings import LOG_LEVELS, Settings
from raftpy.cli.signals import on_stop
from raftpy.config import Config, is_wildcard, parse_cluster
from raftpy.node import Node
from raftpy.replicated.kv import KeyValueStore
from raftpy.server.app import create_server, start_server

FAILURE_POLL = 1.0
"""Seconds until a node that has stopped by itself ends the process."""

GRACE = 1.0
"""Seconds that requests under way get at most when the node is told to stop."""

BACKLOG = 512


def run_node(settings: Settings) -> None:
    """Returns after a signal to stop. Raises ``CommandFailed`` or a usage error, each one line that says why."""
    config = _config(settings)
    for name in LOG_LEVELS:
        logging.addLevelName(getattr(logging, name.upper()), name)
    logging.basicConfig(format="raftpy serve: %(levelname)s: %(message)s", level=settings.log_level)
    asyncio.run(_serve(settings, config))


async def _serve(settings: Settings, config: Config) -> None:
    stop = asyncio.Event()
    on_stop(asyncio.get_running_loop(), lambda _: stop.set())
    _make_directory(settings.data)
    # The HTTP socket first: a node that is up must be able to say so, and to tell its peers where.
    listener = _listen(settings.http)
    try:
        store = KeyValueStore()
        node = Node(config, store)
        # And it answers before the start, which may take long: with how far that has come.
        runner = await start_server(create_server(node, store), listener)
        # What the process has imported stays for as long as it runs: each full collection through it would hold the
        # loop for 10 ms.
        gc.collect()
        gc.freeze()
        try:
            await _start(node)
            try:
                _announce(settings, node)
                await _until_end(node, stop)
            finally:
                await _close(runner, node)
        finally:
            await runner.cleanup()
            await node.stop()
    finally:
        listener.close()


async def _start(node: Node) -> None:
    try:
        await node.start()
    except RaftError as error:
        raise CommandFailed(str(error)) from error


def _config(settings: Settings) -> Config:
    """The node's configuration; what it does not allow is wrong usage."""
    given: dict[str, Any] = {
        "listen": settings.listen,
        "udp": settings.udp,
        "tick_ms": settings.tick_ms,
        "heartbeat_ms": settings.heartbeat_ms,
        "quiet_heartbeat_ms": settings.quiet_heartbeat_ms,
        "election_ms": settings.election_ms,
        "max_datagram": settings.max_datagram,
        "log_cache_bytes": settings.log_cache_bytes,
        "catch_up_rate": settings.catch_up_rate,
        "snapshot_bytes": settings.snapshot_bytes,
        "snapshot_entries": settings.snapshot_entries,
        "snapshots_kept": settings.snapshots_kept,
        "snapshot_rate": settings.snapshot_rate,
        "scrub_rate": settings.scrub_rate,
        "trailing_bytes": settings.trailing_bytes,
    }
    try:
        cluster = parse_cluster(settings.cluster)
        http = _advertised(settings, settings.udp or cluster.get(settings.id, ""))
        return Config(
            id=settings.id,
            cluster=cluster,
            contacts={} if settings.contacts is None else parse_cluster(settings.contacts),
            data_dir=settings.data,
            http=str(http),
            bootstrap=settings.bootstrap,
            unreliable=Unreliable() if settings.unreliable else None,
            **{name: value for name, value in given.items() if value is not None},
        )
    except RaftError as error:
        raise click.UsageError(str(error)) from error


def _advertised(settings: Settings, own_udp: str) -> Address:
    """The HTTP address to tell others: as given, else where it listens; for a wildcard the host of its UDP address."""
    if settings.advertise_http is not None:
        return settings.advertise_http
    if is_wildcard(settings.http.host) and own_udp:
        host = own_udp.rpartition(":")[0].removeprefix("[").removesuffix("]")
        return Address(host, settings.http.port)
    return settings.http


def _make_directory(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise CommandFailed(f"--data {data} is a file: a directory is expected") from None
    except OSError as error:
        raise CommandFailed(f"cannot make the data directory {data}: {reason(error)}") from None


def _listen(address: Address) -> socket.socket:
    """A listening socket, so that a port in use is found before the node takes part in anything."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CommandFailed(f"cannot serve HTTP on {address}: {error.strerror or error}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        # A restarted server must not wait for connections of its former life to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "the port is in use; stop the process that has it, or give another address",
            errno.EADDRNOTAVAIL: "it is no address of this machine; give one that is, or a wildcard such as 0.0.0.0",
            errno.EACCES: "permission denied; ports below 1024 are for privileged processes",
        }.get(error.errno or 0, reason(error))
        raise CommandFailed(f"cannot serve HTTP on {address}: {advice}") from None
    return listener


def _announce(settings: Settings, node: Node) -> None:
    udp = node.config.udp or node.config.addresses[settings.id]
    if settings.listen is not None:
        udp += f" (listening at {settings.listen})"
    print(
        f"raftpy {__version__}: node {settings.id} is up: udp {udp}, http {node.config.http}, data {settings.data}, "
        f"process {os.getpid()}",
        flush=True,
    )


async def _until_end(node: Node, stop: asyncio.Event) -> None:
    """Returns when asked to stop; ends the command when the node has stopped by itself, which it has logged then: with
    exit status 0 where the cluster has removed it, so that nobody starts it again."""
    while not stop.is_set():
        if node.failed is not None:
            raise click.exceptions.Exit(0 if isinstance(node.failed, Removed) else 1)
        try:
            async with asyncio.timeout(FAILURE_POLL):
                await stop.wait()
        except TimeoutError:
            continue


async def _close(runner: web.ServerRunner, node: Node) -> None:
    """A leader hands over first, while it can still say who leads then. After that no new connections; requests under
    way get a moment to end well, and after that an end with the node.

    A node that has handed over has left one and a half shortest election timeouts after it began to: it may be the one
    with the highest priority, to which its successor gives way after two.
    """
    loop = asyncio.get_running_loop()
    begun, grace = loop.time(), GRACE
    try:
        led = node.status().role == "leader"
        if await node.hand_over() and led:
            grace = min(GRACE, begun + 1.5 * node.config.election_ms[0] / 1000 - loop.time())
    except RaftError:
        pass  # it has stopped by itself, and has said why
    closing = asyncio.ensure_future(runner.cleanup())
    await asyncio.wait([closing], timeout=grace)
    await node.stop()  # who still waits for a commit is told that its outcome is not known
    await closing
