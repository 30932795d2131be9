"""The log's lines about leadership, at level INFO: one for each change, none for a commit or a tick."""

from __future__ import annotations

import logging

from raftcore.base.types import StateType

log = logging.getLogger("raftpy")


class RoleLog:
    """Logs changes of this node's role and of the leader it knows: ``changed`` is called after each.

    What a node tries in between, as a candidate or pre-candidate, the core logs itself (logger ``raftpy.core``).
    """

    def __init__(self, name: str) -> None:
        """``name``: whose role it is, as the lines begin."""
        self._name = name
        self._leader = 0
        self._led = 0  # the term in which this node leads; 0: it does not

    def changed(self, state: int, leader: int, term: int, *, stepped_down: bool) -> None:
        """``stepped_down``: this node has given up leadership by itself, for a reason that it has told."""
        before, self._leader = self._leader, leader
        led, self._led = self._led, term if state == StateType.StateLeader else 0
        if self._led:
            if led != term:
                log.info("%s: became leader in term %d", self._name, term)
            return
        if led:
            log.info("%s: %s", self._name, _why_it_ended(led, term, stepped_down))
        if leader:
            log.info("%s: leader is node %d in term %d", self._name, leader, term)
        elif before and not led:
            log.info("%s: no leader is known any more in term %d", self._name, term)


def _why_it_ended(led: int, term: int, stepped_down: bool) -> str:
    if term != led:
        return f"leads no more: term {term} has begun"
    if stepped_down:
        return f"leads no more in term {led}"
    return f"lost the quorum, leads no more in term {led}: no majority has answered within an election timeout"
