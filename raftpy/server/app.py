"""The HTTP application: its routes, and how it is put on a socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp import web

from raftpy.node import DEFAULT_TIMEOUT
from raftpy.replicated.kv import KeyValueStore
from raftpy.server.accepting import ApiRunner
from raftpy.server.bodies import Bodies
from raftpy.server.connections import Connections, most_connections
from raftpy.server.dispatch import ApiServer, Dispatcher
from raftpy.server.kv import KeyValueHandlers
from raftpy.server.limits import LimitsHandlers
from raftpy.server.members import MEMBERS_PREFIX, MembersHandlers
from raftpy.server.proposer import MOST_WAITING, Proposer
from raftpy.server.request import KV_PREFIX
from raftpy.server.snapshot import SnapshotHandlers
from raftpy.server.status import StatusHandlers

if TYPE_CHECKING:
    from raftpy.node import Node

SHUTDOWN_TIMEOUT = 2.0
"""Seconds that requests under way get to end when the server stops."""


def create_server(
    node: Node,
    store: KeyValueStore,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    most_waiting: int = MOST_WAITING,
    connections: int | None = None,
) -> ApiServer:
    """The application for a node and the state machine it was given. Called inside the running loop, also before the
    node is started: until it is, every request is answered 503 ``starting``.

    ``timeout``: seconds until a request that waits for its commit is answered 504. ``most_waiting``: how many such
    requests there may be before the next is answered 503 ``overloaded``. ``connections``: how many may be open before
    the longest idle is closed for a new one; None: what the limit of open files leaves (connections.py).
    """
    proposer = Proposer(node, timeout=timeout, most_waiting=most_waiting)
    kv = KeyValueHandlers(proposer, store, Bodies(lambda: proposer.max_command))
    status = StatusHandlers(node)
    limits = LimitsHandlers(node, timeout=timeout)
    members = MembersHandlers(node)
    dispatcher = Dispatcher(
        exact={
            "/v1/kv": {"GET": kv.list},
            "/v1/leader": {"POST": members.transfer},
            "/v1/limits": {"GET": limits.get, "PUT": limits.put},
            "/v1/members": {"GET": members.list, "POST": members.change},
            "/v1/snapshot": {"POST": SnapshotHandlers(node).take},
            "/v1/status": {"GET": status.status},
            "/healthz": {"GET": status.health},
        },
        below={
            KV_PREFIX: {"GET": kv.get, "PUT": kv.put, "DELETE": kv.delete},
            MEMBERS_PREFIX: {"POST": members.change_one, "DELETE": members.remove},
        },
        progress=lambda: node.starting,
    )
    return ApiServer(dispatcher, Connections(most_connections() if connections is None else connections))


async def start_server(server: ApiServer, listener: socket.socket) -> web.ServerRunner:
    """Answers requests on a listening socket until the runner's ``cleanup()`` is awaited, which gives those under way
    ``SHUTDOWN_TIMEOUT`` seconds."""
    runner = ApiRunner(server, listener, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    return runner
