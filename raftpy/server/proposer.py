"""The way from the handlers into the log: one place that waits, counts, and bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raftpy import NoState, Quarantined
from raftpy.node import DEFAULT_TIMEOUT
from raftpy.replicated.kv import Outcome
from raftpy.server.errors import overloaded

if TYPE_CHECKING:
    from raftpy.node import Node

MOST_WAITING = 4096
"""Commands that may wait at once for their commit. How many bytes they have together the node bounds."""


def check_state(node: Node) -> None:
    """Raises ``Quarantined`` or ``NoState`` where nothing that the node has applied may be read."""
    if (conflict := node.quarantine) is not None:
        raise Quarantined(node.config.id, conflict)
    if node.lacks_state:
        raise NoState(node.config.id, node.status().without_state or "")


class Proposer:
    """Proposes commands of the key-value store to the node. ``timeout`` in seconds; ``most_waiting`` calls may wait at
    a time."""

    def __init__(self, node: Node, *, timeout: float = DEFAULT_TIMEOUT, most_waiting: int = MOST_WAITING) -> None:
        self._node = node
        self._timeout = timeout
        self._most_waiting = most_waiting
        self._waiting = 0

    @property
    def max_command(self) -> int:
        """Bytes of the largest command."""
        return self._node.max_command

    async def write(self, command: bytes) -> tuple[Outcome, int]:
        """The outcome and the term of the entry. Raises what ``Node.propose`` raises, and ``overloaded``."""
        with self._place():
            proposal = self._node.propose(command, timeout=self._timeout)
            outcome: Outcome = await proposal
        return outcome, proposal.term

    async def read(self) -> None:
        """Returns when everything acknowledged before the call is applied here; nothing enters the log (thesis 6.4).

        Raises ``NotLeader`` at once on a follower, whose client had better ask the leader.
        """
        with self._place():
            self._node.require_leader()
            await self._node.read_index(timeout=self._timeout)

    def check_serving(self) -> None:
        """Raises ``Quarantined`` or ``NoState`` where not even what is applied here may be read."""
        check_state(self._node)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places to wait in, held as long as the block runs. Raises ``overloaded`` when all are taken."""
        if self._waiting >= self._most_waiting:
            raise overloaded(f"{self._waiting} requests wait for their commit already, the most allowed; try again")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
