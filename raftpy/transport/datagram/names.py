"""Peers that are given by name: each name is looked up off the event loop, and again while nothing is heard from there.

    begin --> looking up --(found)--> known --(the peer is silent, and its pause is over)--> looking up
                 |   ^
    (no answer)  v   |  (its pause is over)
               pausing              a pause: PAUSE_S, then twice as long each time up to LONGEST_PAUSE_S

A name may resolve to nothing at a node's start, since name servers fail like everything else and a member may not have
been set up yet, and to another address later, when a member has moved. Neither is a reason to do without a majority.

A lookup may take as long as the name servers like. So each has a thread of its own, which nobody waits for. Where the
system has no room for one, that is like no answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from raftpy.contracts.errors import TransportFailed
from raftpy.contracts.executor import Executor
from raftpy.transport.exchange.address import SocketAddress, is_number, parse_address, resolve
from raftpy.transport.identity.peer import Peer

PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

log = logging.getLogger("raftpy.transport")


@dataclass(slots=True)
class Search:
    """How it stands with one peer's ``name``; ``busy`` while it is looked up, ``pause_s`` seconds until the next
    time."""

    name: str
    busy: bool = False
    pause_s: float = PAUSE_S
    next_s: float = 0.0
    """When it may be looked up again."""
    warned: bool = False
    """That it does not resolve."""


class Names:
    """The names of one node's peers. Called in the loop's thread; ``found(peer)`` too, after ``peer.target`` is set.

    ``family`` is that of the node's socket, ``now`` gives the time in seconds, ``executor`` runs the lookups.
    """

    def __init__(
        self,
        node_id: int,
        family: int,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        executor: Executor,
        found: Callable[[Peer, SocketAddress], None],
    ) -> None:
        self._node_id = node_id
        self._family = family
        self._loop = loop
        self._now = now
        self._executor = executor
        self._found = found
        self._peers: Mapping[int, Peer] = {}
        self._searches: dict[int, Search] = {}

    def change_peers(self, peers: Mapping[int, Peer]) -> None:
        """These are the peers now; begins to look up what is new."""
        self._peers = dict(peers)
        by_name = {peer.id: peer for peer in peers.values() if not is_number(parse_address(peer.address).host)}
        for peer_id in self._searches.keys() - by_name.keys():
            del self._searches[peer_id]
        for peer in by_name.values():
            search = self._searches.get(peer.id)
            if search is None or search.name != peer.address:
                self._searches[peer.id] = Search(peer.address)
                self._begin(peer.id, self._searches[peer.id])

    def look(self, peer: Peer) -> None:
        """Once a second: a peer that is up needs no lookup, any other has one when its pause is over."""
        search = self._searches.get(peer.id)
        if search is None or search.busy:
            return
        if peer.target is not None and peer.presence.up:
            search.pause_s = PAUSE_S
        elif search.next_s <= self._now():
            self._begin(peer.id, search)

    def close(self) -> None:
        """Lookups under way change nothing any more."""
        self._searches = {}

    def _begin(self, peer_id: int, search: Search) -> None:
        search.busy = True
        try:
            self._executor.start(f"raftpy-name-{peer_id}", lambda: self._resolve(peer_id, search))
        except RuntimeError as error:  # the system has no room for another thread
            failed = TransportFailed(f"node {peer_id}'s address {search.name} is not looked up: {error}")
            self._end(peer_id, search, failed)

    def _resolve(self, peer_id: int, search: Search) -> None:
        """In a thread of its own."""
        result: SocketAddress | TransportFailed
        try:
            _, result = resolve(search.name, self._family, whose=f"node {peer_id}'s address")
        except TransportFailed as error:
            result = error
        # Where that does nothing, the loop is closed, and the node with it.
        self._executor.post(self._loop, self._end, peer_id, search, result)

    def _end(self, peer_id: int, search: Search, result: SocketAddress | TransportFailed) -> None:
        if self._searches.get(peer_id) is not search:
            return
        search.busy = False
        search.next_s = self._now() + search.pause_s
        search.pause_s = min(2 * search.pause_s, LONGEST_PAUSE_S)
        peer = self._peers[peer_id]
        if isinstance(result, TransportFailed):
            # A peer that was found before keeps the address that it had.
            if peer.target is None and not search.warned:
                search.warned = True
                log.warning("node %d: %s; it counts as unreachable until it does", self._node_id, result)
        elif result != peer.target:
            if search.warned or peer.target is not None:
                log.info("node %d: node %d's address %s resolves to %s", self._node_id, peer_id, search.name, result[0])
            search.warned = False
            self._found(peer, result)
