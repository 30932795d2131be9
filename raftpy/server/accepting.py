"""Accepts connections, as many as there is room for.

asyncio's own server accepts every connection. At the limit of open files it then logs each attempt that fails, a
hundred at a time; the clients that were not accepted wait for an answer that never comes, and the process can open no
file for anything else.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time

from aiohttp import web

from raftpy.server.connections import Connections, OncePerSecond
from raftpy.server.dispatch import ApiServer

AT_ONCE = 16
"""Connections accepted in one turn of the loop, before all else has its turn."""
PAUSE_S = 0.1
"""Until the next attempt, where the system has no room for another socket."""

_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})
"""Of one connection alone: its client has given up, or a firewall forbids it."""

log = logging.getLogger("raftpy.server")


class Acceptor:
    """Takes connections from a listening socket, which is its own from now on, and gives them to a server."""

    def __init__(self, server: ApiServer, listener: socket.socket) -> None:
        self._server = server
        self._connections: Connections = server.open_connections
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._once_per_second = OncePerSecond(time.monotonic)
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        listener.setblocking(False)
        self._go_on()

    def close(self) -> None:
        """No more connections; those that are open stay. May be called again."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for accepted in range(AT_ONCE):
            # Nobody is closed before it is certain that somebody waits, which is so at the beginning of a turn only,
            # and before it is known of all that are open whether they are idle.
            if not self._connections.has_room and (accepted or self._opening):
                return
            if not self._connections.admit():
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._make_room(error)
                return
            self._connections.opened()
            task = self._loop.create_task(self._open(connection, self._connections.crowded))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _make_room(self, error: OSError) -> None:
        """The system refuses (EMFILE and the like), although there should be room: somebody else has taken it."""
        self._connections.close_one()
        self._once_per_second.warn("%d times accepting an HTTP connection failed: %s", error.strerror or error)
        self._loop.remove_reader(self._listener)
        self._loop.call_later(PAUSE_S, self._go_on)

    async def _open(self, connection: socket.socket, crowded: bool) -> None:
        try:
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: self._server.handler(crowded=crowded), connection)
        except (OSError, RuntimeError):  # its client is gone again, or the loop is about to close
            connection.close()
            self._connections.closed()


class ApiRunner(web.ServerRunner):
    """Runs a server behind an acceptor; ``cleanup`` ends both."""

    def __init__(self, server: ApiServer, listener: socket.socket, *, shutdown_timeout: float) -> None:
        super().__init__(server, shutdown_timeout=shutdown_timeout)
        self._acceptor = Acceptor(server, listener)

    async def cleanup(self) -> None:
        """No new connections; requests under way get ``shutdown_timeout`` seconds to end."""
        self._acceptor.close()
        await super().cleanup()
