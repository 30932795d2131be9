"""Who may call a node: the process that started it, in the thread of the event loop it was started on."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from raftpy.contracts.errors import NotOwner
from raftpy.system.forking import process_id, thread_id


class Owner:
    """Where the node ``node_id`` lives: made in the event loop that it is started on."""

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.pid = process_id()
        self.thread = thread_id()
        self.loop = asyncio.get_running_loop()
        self.released = False
        """The node has stopped: there is nothing left that a call could disturb."""
        self.forked = False
        """This is a child of the process that started the node."""

    def check(self) -> None:
        """Raises ``NotOwner`` for a call in another process, thread or event loop."""
        self.check_process()
        if self.released:
            return
        loop = self.loop
        if thread_id() != self.thread:
            self._refuse("in another thread")
        if loop.is_running():
            return
        if loop.is_closed():
            self._refuse("after its event loop was closed, before which it has to be stopped")
        if asyncio._get_running_loop() is not None:
            self._refuse("on another event loop")

    def check_process(self) -> None:
        """Raises ``NotOwner`` for a call in a forked child."""
        if self.forked:
            raise not_of_this_process(self.node_id, self.pid)

    def _refuse(self, where: str) -> NoReturn:
        raise NotOwner(
            f"node {self.node_id} was called {where}: a Node is for the event loop that started it; a BlockingNode may "
            "be called from any thread"
        )


class Elsewhere:
    """Stands in the place of the core, the store and the transport in a forked child: every use of it raises."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> NoReturn:
        raise not_of_this_process(self._owner.node_id, self._owner.pid)


def not_of_this_process(node_id: int, pid: int) -> NotOwner:
    """Node ``node_id`` was started by the process ``pid``, and is called in another."""
    return NotOwner(
        f"node {node_id} was started by process {pid}, and this is process {process_id()}: a fork does not take a node "
        "along; make the call in the process that started it"
    )
