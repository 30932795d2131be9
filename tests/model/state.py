"""The state of a model node (Figure 2), its roles (Figure 4), its configuration, and what it sends.

    state         this file
    elections     standing, voting, counting; priorities
    sending       appends, heartbeats and snapshots of a leader
    reads         read index and lease
    membership    configuration changes
    replication   the follower's side of appends, the leader's side of answers; leadership transfer
    faults        what no correct peer sends
    node          inputs, the term check, Ready

Each adds its rules to the one before it; the last is the whole node. Written from the paper, the thesis and etcd/raft's
published decisions. Where those leave a choice to raftcore and only its source shows which, a comment says
"free choice".
"""

from __future__ import annotations

from collections.abc import Iterable

from raftcore import Config, Conflict, ConfState, EntryKind, MessageType, Snapshot, StateType
from tests.model import quorum
from tests.model.confchange import Configuration
from tests.model.node_log import NodeLog
from tests.model.progress import REPLICATE, Progress
from tests.model.values import Message, Rejected, Start, Suspicion

FOLLOWER, CANDIDATE = StateType.StateFollower, StateType.StateCandidate
LEADER, PRE_CANDIDATE = StateType.StateLeader, StateType.StatePreCandidate
QUARANTINED = StateType.StateQuarantined
NOOP = EntryKind.EntryNoop
MASK = 2**64 - 1

WITH_OWN_TERM = (MessageType.MsgVote, MessageType.MsgVoteResp, MessageType.MsgPreVote, MessageType.MsgPreVoteResp)
WITHOUT_TERM = (MessageType.MsgProp, MessageType.MsgReadIndex)
PROMISES = (MessageType.MsgAppResp, MessageType.MsgVoteResp, MessageType.MsgPreVoteResp)


class ModelStorage:
    """What the model asks of a storage while it runs."""

    def snapshot(self) -> Snapshot:
        """The newest one; Rejected when it cannot be had right now."""
        raise NotImplementedError

    def at_hand(self, *, urgent: bool) -> bool:
        """Whether entries that left the memory can be had right now; not ``urgent``: nobody waits for them."""
        raise NotImplementedError


class State:
    def __init__(self, config: Config, start: Start, storage: ModelStorage) -> None:
        self.config = config
        self.id = config.id
        self.storage = storage
        self.witnesses = set(config.witnesses)
        self.priorities = dict(config.priorities or {})
        # Persistent
        self.term = 0
        self.vote = 0
        self.log = self._load(config, start)
        # Volatile on all
        self.role = FOLLOWER
        self.leader = 0
        self.configuration = Configuration()
        self.conf_index = 0
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self.acknowledged = 0  # to the leader of this term, since the start
        self.suspicion: Suspicion | None = None
        self.conflict: Conflict | None = None
        # Clocks
        self.now = 0
        self.elapsed = 0
        self.heartbeat_elapsed = 0
        self.heartbeat_pause = config.heartbeat_tick
        self.at_heartbeat = (0, 0)  # last index and round of reads at the last heartbeat
        self.contact = 0
        self.heard_leader_ms = 0
        self.timeout = self.writes_wait = 0
        self.write_ticks = self.vote_ticks = 0
        # Free choice: splitmix64, seeded with the id mixed in.
        self.random = (config.seed + config.id * 0xD1342543DE82EF95) & MASK
        # Volatile on leaders
        self.transferee = 0
        self.preferred = 0
        self.takeover_pause = 0
        self.pending_conf_index = 0
        self.uncommitted = 0
        self.lease_given_up = False
        self.lease_until = 0
        self.round_sent_at: dict[int, int] = {}
        self.forget_reads()
        # Outbox
        self.messages: list[Message] = []
        self.after_append: list[Message] = []
        self.read_states: list[tuple[int, bytes]] = []
        # As a node starts: its configuration, then a follower of nobody
        self.restore_configuration(start.conf_state, start.conf_index)
        self.term, self.vote = start.hard_state.term, start.hard_state.vote
        self.become_follower(self.term, 0)
        self.wait_anew()

    @staticmethod
    def _load(config: Config, start: Start) -> NodeLog:
        applied = max(config.applied, start.snapshot_index)
        last = start.snapshot_index + len(start.items)
        return NodeLog(
            start.snapshot_index, start.snapshot_term, list(start.items),
            committed=max(start.hard_state.commit, start.snapshot_index), applying=applied, applied=applied,
            offset=last + 1, in_progress=last + 1, max_applying=config.max_committed_size_per_ready,
            memory_from=last + 1, last_time=start.last_time,
            most_bytes=config.max_window_bytes, most_entries=config.max_window_entries,
        )  # fmt: skip

    # Sending

    def send(self, message: Message) -> None:
        """Promises wait for the write of all that is unstable (thesis 3.8, 10.2.1); everything else leaves at once."""
        message.from_ = message.from_ or self.id
        if message.type not in WITH_OWN_TERM and message.type not in WITHOUT_TERM:
            message.term = self.term
        waits = message.type in PROMISES or (
            message.type == MessageType.MsgVote and not self.config.votes_before_write
        )  # a candidate that forgets its term may be elected in it again
        (self.after_append if waits else self.messages).append(message)

    # Roles

    def reset(self, term: int) -> None:
        if term != self.term:
            self.term, self.vote = term, 0
            self.lease_given_up = False
            self.acknowledged = 0
        elif self.role == LEADER:
            self.acknowledged = self.log.last
        self.leader = self.heartbeat_elapsed = 0
        self.heartbeat_pause, self.at_heartbeat = self.config.heartbeat_tick, (0, 0)
        self.transferee = self.preferred = self.takeover_pause = 0
        self.votes = {}
        self.suspicion = None
        for member in self.progress.values():
            member.start_over(self.log.last if member.id == self.id else 0, self.log.last + 1)
        self.pending_conf_index = self.uncommitted = 0
        self.forget_reads()
        self.end_lease()

    def wait_anew(self) -> None:
        self.elapsed = 0
        self.timeout = self.config.election_tick + self._draw() % self.config.election_tick + self.patience()
        self.wait_for_writes()

    def wait_for_writes(self) -> None:
        """An election takes two writes; free choice: candidates are told apart by a wait of up to six more."""
        if self.leader:
            self.vote_ticks = 0
        self.writes_wait = self.vote_ticks
        if self.write_ticks and not self.leader:
            self.writes_wait += 2 * self.write_ticks + self._draw() % (6 * self.write_ticks)

    def _draw(self) -> int:
        self.random = (self.random + 0x9E3779B97F4A7C15) & MASK
        mixed = self.random
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def become_follower(self, term: int, leader: int) -> None:
        """A follower waits anew for its leader and for a vote given, not for a later term alone (Figure 2)."""
        waits_on = self.role == FOLLOWER and not leader
        self.reset(term)
        self.role, self.leader = FOLLOWER, leader
        if not waits_on:
            self.wait_anew()

    def become_pre_candidate(self) -> None:
        """Nothing has been promised to anybody (thesis 9.6): term, vote and clocks stay."""
        self.votes = {}
        self.suspicion = None
        self.role, self.leader = PRE_CANDIDATE, 0

    def become_candidate(self) -> None:
        self.reset(self.term + 1)
        self.wait_anew()
        self.role, self.vote = CANDIDATE, self.id

    def become_quarantined(self, conflict: Conflict) -> None:
        """For ever. What was not sent yet is not sent any more."""
        self.reset(self.term)
        self.role, self.conflict = QUARANTINED, conflict
        self.messages, self.after_append, self.read_states = [], [], []

    def become_leader(self) -> None:
        self.reset(self.term)
        self.role, self.leader = LEADER, self.id
        self.wait_anew()
        own = self.progress[self.id]
        own.enter(REPLICATE)
        own.next = own.match + 1
        own.active = True
        # There may be a change of the configuration anywhere in the log: wait until all of it is applied.
        self.pending_conf_index = self.log.last
        self.append([(NOOP, b"")])

    # Configuration

    @property
    def voters(self) -> list[int]:
        return sorted(self.configuration.voters | self.configuration.outgoing)

    @property
    def joint(self) -> bool:
        return bool(self.configuration.outgoing)

    @property
    def conf_state(self) -> ConfState:
        c = self.configuration
        return ConfState(c.voters, c.outgoing, c.learners, c.learners_next, c.auto_leave)

    def members(self) -> Iterable[Progress]:
        """All that have a progress, by id."""
        return [self.progress[id] for id in sorted(self.progress)]

    def others(self) -> Iterable[Progress]:
        return [member for member in self.members() if member.id != self.id]

    def is_witness(self, id: int) -> bool:
        return id in self.witnesses

    def half_committed(self, half: Iterable[int]) -> int:
        return quorum.committed([self.progress[id].match for id in half])

    def quorum_of(self, ids: Iterable[int]) -> bool:
        agreed = set(ids)
        c = self.configuration
        return quorum.is_won([id in agreed for id in c.voters]) and quorum.is_won([id in agreed for id in c.outgoing])

    def quorum_active(self) -> bool:
        return self.quorum_of(member.id for member in self.members() if member.active)

    def committed_in_term(self) -> bool:
        return self.log.term(self.log.committed) == self.term

    # What the files behind this one add

    def leader_lives(self, commit: int) -> None:
        raise NotImplementedError

    def patience(self) -> int:
        raise NotImplementedError

    def append(self, entries: list[tuple[int, bytes]]) -> int:
        raise NotImplementedError

    def forget_reads(self) -> None:
        raise NotImplementedError

    def end_lease(self) -> None:
        raise NotImplementedError

    def restore_configuration(self, conf_state: ConfState, index: int) -> None:
        raise NotImplementedError


def dropped(reason: str) -> Rejected:
    return Rejected(f"ProposalDropped: {reason}")
