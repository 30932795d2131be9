"""What one exploration covers: how many nodes, which options of the core, which events, and how many of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

from raftcore import ConfChange, Config, ConfState
from raftcore.values.changes import ConfChangeType

ELECTION_TICK = 10
HEARTBEAT_TICK = 2  # so that a tick can be one of the election timeout alone
ANY = -1


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The bounds of one exploration. What would lead beyond them is not done; within them everything is."""

    nodes: int = 3
    terms: int = 2
    """No node stands for election in a later term."""
    log: int = 2
    """No command is given to a leader whose log holds this many entries; a new leader's empty entry always is."""
    crashes: int = 0
    """Crashes of any node, each followed by its restart."""
    async_writes: bool = False
    """A write is an event of its own: between it and what asked for it, anything can happen, a crash too."""
    waiting: int = 2
    """With ``async_writes``: writes that wait at one node. A message that comes again may ask for one more."""
    heartbeats: int = 0
    """Rounds of heartbeats, of any leaders, in all; ANY for no bound. Their answers make a leader send again what may
    be lost."""
    unreachable: bool = False
    """The transport may report any node as unreachable to a leader."""
    pre_vote: bool = False
    free_pre_votes: bool = False
    """A pre-vote or an answer to one that is sent in any state may arrive in every state: more than can happen, in far
    fewer states. They promise nothing (thesis 9.6), so no rule may rest on them; a violation may not be a real one."""
    check_quorum: bool = False
    inflight: int = 0
    """Appends on their way to one follower, 0 for more than this scope can have."""
    reject_runs: int = 0
    """Runs of terms that a rejection lists."""
    transfers: int = 0
    """Leadership transfers asked of a leader, to any node."""
    reads: int = 0
    """Reads by read index, asked at any node. One of them may reach the leader once more: a leader begins at most one
    round more than that, and has at most one read more waiting."""
    witness: bool = False
    """The last node is a witness."""
    priority: bool = False
    """The first node is preferred as leader."""
    change: str = ""
    """"add" or "remove": one configuration change, of the last node."""

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= 5:
            raise ValueError(f"nodes must be 1 to 5, not {self.nodes}")
        for name in ("terms", "log", "crashes", "waiting", "transfers", "reads", "inflight", "reject_runs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.heartbeats < ANY:
            raise ValueError(f"heartbeats must be at least 0, or any, not {self.heartbeats}")
        if (self.witness or self.change) and self.nodes < 2:
            raise ValueError(f"a witness or a configuration change needs at least 2 nodes, not {self.nodes}")

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(range(1, self.nodes + 1))

    @property
    def conf_state(self) -> ConfState:
        """The first configuration."""
        return ConfState(voters=self.ids[:-1] if self.change == "add" else self.ids)

    @property
    def conf_change(self) -> ConfChange:
        kind = ConfChangeType.AddNode if self.change == "add" else ConfChangeType.RemoveNode
        return ConfChange(kind, self.nodes)

    @property
    def leader_timeouts(self) -> bool:
        """Does a leader do anything when an election timeout has passed?"""
        return self.check_quorum or self.transfers > 0 or self.priority

    @property
    def hearing_matters(self) -> bool:
        """Does it matter whom a leader has heard from lately?"""
        return self.check_quorum or self.priority

    @property
    def durable_matters(self) -> bool:
        """Does it matter what exactly is on the disk?"""
        return self.crashes > 0 or self.async_writes

    def config(self, node_id: int) -> Config:
        return Config(
            id=node_id,
            election_tick=ELECTION_TICK,
            heartbeat_tick=HEARTBEAT_TICK,
            async_storage_writes=True,
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            max_inflight_msgs=self.inflight or 256,
            max_reject_runs=self.reject_runs,
            witnesses=self.ids[-1:] if self.witness else (),
            priorities={1: 1} if self.priority else None,
            disable_proposal_forwarding=True,
        )

    def symmetries(self) -> list[dict[int, int]]:
        """Every renaming of the nodes under which this scope stays the same; the identity comes first.

        A node with a part of its own (witness, preferred, the one that is added or removed) keeps its name.
        """
        fixed = {1} if self.priority else set()
        if self.witness or self.change:
            fixed.add(self.nodes)
        renamings = [dict(zip(self.ids, order, strict=True)) for order in permutations(self.ids)]
        return [renaming for renaming in renamings if all(renaming[node] == node for node in fixed)]

    def describe(self) -> str:
        parts = [f"{self.nodes} nodes", f"terms <= {self.terms}", f"log <= {self.log}"]
        parts += [
            f"{name} <= {getattr(self, name)}" for name in ("crashes", "transfers", "reads") if getattr(self, name)
        ]
        if self.heartbeats:
            parts.append("any heartbeats" if self.heartbeats == ANY else f"heartbeats <= {self.heartbeats}")
        flags = ("pre_vote", "free_pre_votes", "check_quorum", "async_writes", "unreachable", "witness", "priority")
        parts += [name.replace("_", "-") for name in flags if getattr(self, name)]
        parts += [f"writes waiting <= {self.waiting}"] if self.async_writes else []
        parts += [f"inflight <= {self.inflight}"] if self.inflight else []
        parts += [f"reject runs <= {self.reject_runs}"] if self.reject_runs else []
        parts += [f"one change: {self.change} node {self.nodes}"] if self.change else []
        return ", ".join(parts)


PRESETS: dict[str, dict[str, Any]] = {
    "replication": {},
    "heartbeat": {"heartbeats": ANY, "log": 1},
    "crash": {"crashes": 1},
    "prevote": {"pre_vote": True, "free_pre_votes": True},
    "transfer": {"transfers": 1},
    "read-index": {"reads": 1, "terms": 2, "log": 1},
    "witness": {"witness": True},
    "priority": {"priority": True},
    "membership": {"change": "remove"},
    "async-writes": {"async_writes": True, "crashes": 1, "log": 1},
}
