"""What nodes say to one another, read as it leaves and as it comes in: for worlds that are watched (``Plan.watched``).

Two things are checked at each datagram that leaves. A message that promises something leaves only when what it promises
is durable (thesis 3.8, 10.2.1): a request for a vote and a vote, the term and the vote; the acknowledgement of an
append, the term and the entries; whatever a leader says, its term. And of all that live, one only speaks for a store.

The rest is for SOMETIMES: most of what a core decides shows in its trace, and in what it sends and hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftcore.api.raw_node import RawNode
from raftcore.base.types import MessageType, StateType
from raftcore.values.message import Message
from raftcore.wire.codec import RUN_SIZE, messages, parse_header
from raftpy.contracts.entropy import Entropy
from raftpy.sim.cluster import Cluster, Life
from raftpy.sim.data_directory import newest_log
from raftpy.sim.lost_orders import BY_ORDER
from raftpy.sim.network import Network, SimulatedTransport
from raftpy.sim.process import Process
from raftpy.sim.promises import ACKNOWLEDGED, APPEND, VOTE, VOTED, undurable

LEADER, CANDIDATE = StateType.StateLeader, StateType.StateCandidate


class WatchedTransport(SimulatedTransport):
    """A :class:`SimulatedTransport` over whose shoulder a :class:`Wire` looks."""

    def __init__(
        self, network: Network, process: Process, entropy: Entropy, max_datagram: int | None, wire: Wire
    ) -> None:
        super().__init__(network, process, entropy, max_datagram)
        self._wire = wire
        self.socket.leaves = wire.sends

    def receive(self, limit: int = 64) -> list[bytes]:
        accepted = super().receive(limit)
        for datagram in accepted:
            self._wire.hears(self.process, datagram)
        return accepted


class Wire:
    """Looks at all datagrams and traces of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reached = cluster.reached
        self._speakers: dict[int, Process] = {}  # by store id
        self._asked: dict[tuple[int, int, int, bool], bool] = {}  # (voter, candidate, term, pre): a log that is behind
        self._granted: set[tuple[int, int, int]] = set()  # (voter, candidate, term)
        self._transfers: dict[int, int] = {}  # node that hands over: its term
        self._leased: list[tuple[Life, int, int]] = []  # requests that came in this step: life, group, term

    def transport(self, network: Network, process: Process, entropy: Entropy, limit: int | None) -> WatchedTransport:
        """For a new life."""
        return WatchedTransport(network, process, entropy, limit, self)

    def _life(self, process: Process) -> Life | None:
        life = self._cluster.members[process.node].life
        return life if life is not None and life.process is process else None

    # --- What leaves ----------------------------------------------------------------------------------------------

    def sends(self, process: Process, datagram: bytes) -> None:
        """``process`` puts a datagram on the wire now."""
        store = parse_header(datagram).from_store
        before = self._speakers.get(store)
        if before is not process:
            if before is not None and before.alive:
                self._cluster.found("one life of one disk", f"two processes speak for the store of node {process.node}")
            self._speakers[store] = process
        life = self._life(process)
        if life is None:
            return
        for group, message in messages(datagram):
            if isinstance(message, Message):
                self._check_durable(life, group, message)
                self._count_sent(life, group, message)

    def _check_durable(self, life: Life, group: int, m: Message) -> None:
        storage: Any = life.storage
        if group not in storage._groups or storage._failure is not None:
            return  # what it tried to write last is in memory only
        missing = undurable(m, life.head(group))
        if missing is None and m.type in (VOTE, VOTED, ACKNOWLEDGED) and m.term and unsynced(self._cluster, life):
            missing = "what was written last is not synced"
        if missing is not None:
            self._cluster.found("promises are durable", f"{m!r} leaves node {life.process.node}, and {missing}")

    def _count_sent(self, life: Life, group: int, m: Message) -> None:
        type_ = m.type
        if type_ == MessageType.MsgTimeoutNow:
            self._reached("a target was told to stand at once")
        elif type_ == VOTE and m.context == BY_ORDER:
            self._reached("a candidate stood by order of its leader")
        elif type_ == MessageType.MsgTransferLeader:
            self._reached("a follower passed a transfer on")
        elif type_ == MessageType.MsgReadIndex and m.context is not None:
            self._reached("a read was forwarded to the leader")
            # The number of the question: more of them than there were reads means that some were put again.
            if int.from_bytes(m.context[8:], "little") > life.reads.get(group, 0):
                self._reached("a read was asked again")
        elif type_ == ACKNOWLEDGED and m.reject and m.context is not None and len(m.context) >= 2 * RUN_SIZE:
            self._reached("a refusal named several runs of terms")

    # --- What comes in --------------------------------------------------------------------------------------------

    def hears(self, process: Process, datagram: bytes) -> None:
        """``process`` takes a datagram in, which its transport has let pass."""
        life = self._life(process)
        driver = life.host.driver if life is not None else None
        if life is None or driver is None or not driver.rounds.takes_part:
            return
        for group, message in messages(datagram):
            if isinstance(message, Message) and group in driver.groups:
                self._count_heard(life, group, driver.groups[group].raw, message)

    def _count_heard(self, life: Life, group: int, raw: RawNode, m: Message) -> None:
        type_, late = m.type, 0 < m.term < raw.term
        if type_ in (VOTE, MessageType.MsgPreVote):
            behind = (m.log_term, m.index) < (raw.last_term, raw.last_index)
            self._asked[life.process.node, m.from_, m.term, type_ != VOTE] = behind
            if late:
                self._reached("a request for a vote came from an earlier term")
            elif type_ == VOTE and m.term > raw.term and raw.leader:
                self._leased.append((life, group, m.term))
        elif type_ == VOTED:
            if not m.reject and (late or raw.state != CANDIDATE):
                self._reached("a vote came too late")
        elif late and type_ in (APPEND, MessageType.MsgHeartbeat):
            self._reached("a message of a former leader came")
        elif late:
            self._reached("an answer of an earlier term came")
        elif type_ == APPEND and m.index < raw.commit_index:
            self._reached("an append came behind the commit index")
        elif type_ == MessageType.MsgReadIndex:
            if raw.state == LEADER and raw.term_at(raw.commit_index) != raw.term:
                self._reached("a read waited for the first commit of a term")
        elif type_ == MessageType.MsgReadIndexResp and m.index > raw.applied_index:
            self._reached("a read's index was ahead of what was applied")

    # --- What the cores trace -------------------------------------------------------------------------------------

    def traced(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event of a core."""
        node = fields["id"]
        if event == "vote":
            self._vote(node, fields["candidate"], fields["for_term"], fields["pre"], fields["granted"])
        elif event == "append_rejected":
            self._reached("an append was refused")
        elif event == "progress":
            self._reached("a leader looked further back for an agreement")
        elif event == "takeover" and fields["in_vain"]:
            self._reached("a leader handed over by priority in vain, and did it again")
        elif event == "transfer":
            self._transfers[node] = fields["term"]
            life = self._cluster.members[node].life
            if life is not None and any(
                group.raw.term == fields["term"] and fields["match"] < group.raw.last_index
                for group in life.groups.values()
            ):
                self._reached("a transfer's target had to catch up first")

    def _vote(self, voter: int, candidate: int, term: int, pre: bool, granted: bool) -> None:
        if granted and not pre:
            if (voter, candidate, term) in self._granted:
                self._reached("a vote was given again")
            self._granted.add((voter, candidate, term))
        elif not granted and self._asked.get((voter, candidate, term, pre)):
            self._reached("a pre-vote was refused for the log" if pre else "a vote was refused for the log")
        elif not granted and not pre:
            self._reached("a vote was refused, given to another")

    # --- After each step ------------------------------------------------------------------------------------------

    def stepped(self, life: Life) -> None:
        """What came in has been dealt with."""
        groups = life.groups
        for heard_by, group, term in self._leased:
            if heard_by is life and group in groups and groups[group].raw.term < term:
                self._reached("a vote was refused by lease")
        self._leased.clear()
        node = life.process.node
        if node in self._transfers and 0 in groups:
            status = groups[0].raw.status()
            if status.term != self._transfers[node] or status.state != LEADER:
                del self._transfers[node]
            elif not status.transferee:
                self._reached("a transfer was aborted")
                del self._transfers[node]


def unsynced(cluster: Cluster, life: Life) -> bool:
    """Whether something was written to the database of a life and not synced, by its loop."""
    if life.unwritten is not None:
        return False  # a thread is about to: nothing that it writes is promised, see ``Life.head``
    contents = newest_log(cluster.members[life.process.node].disk)
    return contents is not None and any(write[2] is not None for write in contents.unsynced)
