"""Target *step*: a byte string as a program for a small cluster, one member of which may be hostile.

The first bytes choose the cluster (one to three nodes, their form of driver and their options); each further operation
is one byte, three bits for the node and five for what is done, and what it takes of bytes behind it. After every
operation each node keeps its own invariants. While nobody was hostile the rules between nodes hold as well.

What may be raised is what the documentation says of each call. A hostile frame raises nothing at all: it is counted in
``faults``, ``ignored`` or neither, and one that was refused has left the node's fingerprint as it was, but for what the
node notes of a leader that contradicts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raftcore import (
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entries,
    Entry,
    EntryKind,
    Message,
    MessageType,
    RawNode,
    Snapshot,
    StateType,
)
from raftcore.base.errors import ConfChangeError, PeerFault, ProposalDropped, StepLocalMessage, StepPeerNotFound
from raftcore.testing.cluster_invariants import History, check, check_all
from raftcore.wire.codec import FRAME_MESSAGE, DatagramBuilder, Header, encode_message
from tests.fuzz.cluster import Cluster, Peer
from tests.fuzz.mutate import reseal
from tests.fuzz.reader import Reader

OPERATIONS = 120  # of one program; the rest of its bytes is not read
SETTLE = 60  # deliveries at most of one settle
ELECTION_TICK = 5
DATAGRAM = 60_000
REMOTE = [
    MessageType.MsgApp, MessageType.MsgAppResp, MessageType.MsgVote, MessageType.MsgVoteResp, MessageType.MsgSnap,
    MessageType.MsgHeartbeat, MessageType.MsgHeartbeatResp, MessageType.MsgProp, MessageType.MsgTransferLeader,
    MessageType.MsgTimeoutNow, MessageType.MsgReadIndex, MessageType.MsgReadIndexResp, MessageType.MsgPreVote,
    MessageType.MsgPreVoteResp,
]  # fmt: skip
REFUSALS = (ProposalDropped, PeerFault, StepPeerNotFound, StepLocalMessage)


class Finding(AssertionError):
    """Something that no documentation allows."""


class Program:
    """One run. ``seen`` collects what happened, as words without numbers: what is new in them steers the search."""

    def __init__(self, data: bytes) -> None:
        self.read = Reader(data)
        self.seen: set[str] = set()
        self.history: History | None = History()  # None once somebody was hostile
        self.last = ""
        self.operations = 0
        count, options, learners = self._options()
        self.cluster = Cluster(count, learners, options, self._trace)

    def _options(self) -> tuple[int, list[dict[str, Any]], list[int]]:
        first, second, third = self.read.byte(), self.read.byte(), self.read.byte()
        count = first % 3 + 1
        common: dict[str, Any] = {
            "election_tick": ELECTION_TICK,
            "pre_vote": bool(first & 4),
            "check_quorum": bool(first & 8),
            "max_reject_runs": 4 if first & 16 else 0,
            "step_down_on_removal": bool(first & 32),
            "conf_change_after_own_commit": bool(first & 64),
            "disable_proposal_forwarding": bool(first & 128),
        }
        if second & 1:
            common |= {"max_size_per_msg": 60 if second & 2 else 0, "max_inflight_msgs": 2}
        if second & 4:
            common |= {"max_uncommitted_size": 20, "max_committed_size_per_ready": 40}
        if second & 8:
            common |= {"max_window_entries": 2 if second & 16 else 0}
        if second & 32:
            common["priorities"] = {2: 3, 3: 1}
        if second & 64 and count == 3:
            common["witnesses"] = (3,)
        if second & 128:
            common["disable_conf_change_validation"] = True
        common["ignore_forget_leader"] = third & 3 == 1
        reads = ("safe", "safe", "lease", "safe")[third & 3] if common["check_quorum"] else "safe"
        common |= {"read_only": reads, "lease_ms": 30 if reads == "lease" else 0}
        # One form for all, or each its own; a learner among three.
        forms = [bool(third & 4), bool(third & 8), bool(third & 16)]
        options = [{**common, "seed": third >> 5, "async_storage_writes": not form} for form in forms]
        return count, options, [3] if third & 32 and count == 3 and "witnesses" not in common else []

    def _trace(self, event: str, fields: Mapping[str, Any]) -> None:
        self.seen.add(f"{self.last} {event} {fields.get('role', '')}{fields.get('granted', '')}")

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        for _ in range(OPERATIONS):
            if not self.read:
                break
            self.operations += 1
            code = self.read.byte()
            peer = self.cluster.peers[(code >> 5) % len(self.cluster.peers)]
            operation = TABLE[code & 31]
            self.last = operation.__name__
            operation(self, peer)
            for other in self.cluster.peers:
                other.collect()
            self.check()

    def check(self) -> None:
        nodes = [peer.raw for peer in self.cluster.peers]
        if self.history is not None and self.rules_hold_between(nodes):
            check_all(nodes, self.history)
        else:
            for node in nodes:
                check(node)
        for node in nodes:
            state = f"{self.last} {StateType(node.state).name} {len(node.conf_state.voters_outgoing)}"
            self.seen.add(state)
            if node.state == StateType.StateLeader:
                for _, text in node.progress():
                    self.seen.add("progress " + "".join(c for c in text if not c.isdigit()))

    def rules_hold_between(self, nodes: list[RawNode]) -> bool:
        """Unchecked configuration changes may leave quorums without a common member, as documented."""
        if any(peer.options.get("disable_conf_change_validation") for peer in self.cluster.peers):
            self.history = None
        return self.history is not None

    def allowed(self, call: Callable[[], Any], *errors: type[Exception]) -> None:
        """A call that may raise these and nothing else; then nothing has changed."""
        try:
            call()
        except errors as error:
            self.seen.add(f"{self.last} {type(error).__name__} {getattr(error, 'reason', '')}")

    # -- operations of a correct driver ------------------------------------------------------------------------------

    def tick(self, peer: Peer) -> None:
        argument = self.read.byte()
        for _ in range(1 + argument % (3 * ELECTION_TICK)):
            self.cluster.now_ms += argument >> 4
            peer.raw.tick(self.cluster.now_ms)
            peer.collect()

    def campaign(self, peer: Peer) -> None:
        peer.raw.campaign()

    def propose(self, peer: Peer) -> None:
        argument = self.read.byte()
        commands = [bytes([argument]) * (argument >> 3)] * (1 + argument % 4)
        self.allowed(lambda: peer.raw.propose(commands, self.cluster.now_ms), ProposalDropped)

    def deliver(self, peer: Peer) -> None:
        """One of the messages to this node, as its driver steps it: from its own datagram."""
        mine = [message for message in self.cluster.flying if message.to == peer.id]
        if not mine:
            return
        argument = self.read.byte()
        message = mine[(argument & 63) % len(mine)]
        if not argument & 64:
            self.cluster.flying.remove(message)
        if not argument & 128 or argument & 64:
            self.step_frame(peer, *encode_message(message), message.from_)

    def settle(self, peer: Peer) -> None:
        """Everybody does what is due, in order, for a while."""
        for _ in range(SETTLE):
            for other in self.cluster.peers:
                other.write()
                other.apply()
                other.collect()
            if not self.cluster.flying:
                break
            message = self.cluster.flying.pop(0)
            if message.to <= len(self.cluster.peers):
                receiver = self.cluster.peers[message.to - 1]
                self.step_frame(receiver, *encode_message(message), message.from_)
                receiver.collect()

    def write(self, peer: Peer) -> None:
        peer.write()

    def apply(self, peer: Peer) -> None:
        peer.apply()

    def change(self, peer: Peer) -> None:
        argument = self.read.byte()
        changes = [
            ConfChange(ConfChangeType(byte & 3), byte >> 2 & 3) for byte in self.read.take(argument & 3) or b"\0"
        ]
        if argument & 4:
            asked: Any = ConfChangeV2(tuple(changes), ConfChangeTransition((argument >> 3) % 3))
        elif argument & 8:
            asked = ConfChangeV2()
        else:
            asked = changes[0]
        expected = peer.raw.conf_index + (argument >> 7) if argument & 64 else None
        self.allowed(
            lambda: peer.raw.propose_conf_change(asked, self.cluster.now_ms, expected), ProposalDropped, ConfChangeError
        )

    def transfer(self, peer: Peer) -> None:
        peer.raw.transfer_leader(self.read.byte() % 5)

    def read_index(self, peer: Peer) -> None:
        peer.raw.read_index(self.read.take(2), self.cluster.now_ms)

    def compact(self, peer: Peer) -> None:
        peer.compact(self.read.byte() % 4)

    def restart(self, peer: Peer) -> None:
        """What was not written is lost. A vote that was not has left for nobody, so another one may be given."""
        kept = peer.storage.initial_state().hard_state
        if self.history is not None:
            votes = self.history.votes
            for node_id, term in [key for key in votes if key[0] == peer.raw.id]:
                if term > kept.term or (term == kept.term and not kept.vote):
                    del votes[node_id, term]
        peer.start()

    def forget_leader(self, peer: Peer) -> None:
        peer.raw.forget_leader()

    def unreachable(self, peer: Peer) -> None:
        peer.raw.report_unreachable(self.read.byte() % 5)

    def started(self, peer: Peer) -> None:
        peer.raw.report_started(self.read.byte() % 5)

    def snapshot_status(self, peer: Peer) -> None:
        argument = self.read.byte()
        peer.raw.report_snapshot(argument % 5, bool(argument & 128))

    def offer_snapshot(self, peer: Peer) -> None:
        """One of the node's snapshots, or one of a later term, mostly to whom another is on its way. It is sent where
        its receiver waits for one and the log goes on behind it; else nothing has changed."""
        argument, raw = self.read.byte(), peer.raw
        waiting = dict(raw.pending_snapshots()) if raw.state == StateType.StateLeader else {}
        to = sorted(waiting)[argument % len(waiting)] if waiting and not argument & 128 else argument % 5
        known = [*peer.older, peer.storage.snapshot()]
        snapshot = known[(argument >> 3) % len(known)]
        if argument & 64:
            snapshot = Snapshot(snapshot.index, snapshot.term + 1, snapshot.conf_state, snapshot.conf_index)
        reached = raw.first_index - 1 <= snapshot.index <= raw.commit_index
        does = to in waiting and reached and raw.term_at(snapshot.index) == snapshot.term
        before, ends = raw.fingerprint(), (raw.last_index, raw.commit_index, raw.first_index)
        if raw.offer_snapshot(to, snapshot) != does:
            raise Finding(f"a snapshot at {snapshot.index} for node {to} was {'not ' if does else ''}offered")
        if not does and raw.fingerprint() != before:
            raise Finding("a snapshot that was not offered has changed the node")
        if does:
            self.seen.add(f"{self.last} {'older' if snapshot.index < waiting[to] else 'the same or newer'}")
            if dict(raw.pending_snapshots()) != {**waiting, to: snapshot.index}:
                raise Finding("what is on its way is not what was offered")
            if ends != (raw.last_index, raw.commit_index, raw.first_index):
                raise Finding("an offer has moved the log")
            self.sent(peer, to, snapshot)

    def sent(self, peer: Peer, to: int, snapshot: Snapshot) -> None:
        """The node has sent this snapshot, as soon as a driver takes what it has to send."""
        if peer.taken:
            return
        peer.collect()
        if not any(message.to == to and message.snapshot == snapshot for message in self.cluster.flying):
            raise Finding("a snapshot was offered and not sent")

    def clone(self, peer: Peer) -> None:
        """The node's clone takes its place."""
        copy = peer.raw.clone()
        if copy.fingerprint() != peer.raw.fingerprint():
            raise Finding("a clone has another fingerprint")
        peer.raw = copy

    # -- hostile operations ------------------------------------------------------------------------------------------

    def hostile_bytes(self, peer: Peer) -> None:
        """Any bytes as the body of a frame."""
        kind = FRAME_MESSAGE + self.read.byte() % 26
        self.hostile(peer, kind, self.read.take(self.read.byte()), self.read.byte() % 5)

    def hostile_changed(self, peer: Peer) -> None:
        """A message that is under way, one or two of its fields changed."""
        if self.cluster.flying:
            message = self.cluster.flying[self.read.byte() % len(self.cluster.flying)]
            copy = Message(*message.__reduce__()[1])  # type: ignore[arg-type]
            for _ in range(1 + self.read.byte() % 2):
                self.set_field(peer, copy)
            self.send(peer, copy, message.from_)

    def hostile_message(self, peer: Peer) -> None:
        """A message of a hostile member, most of it as the receiver would expect."""
        raw = peer.raw
        kind = REMOTE[self.read.byte() % len(REMOTE)]
        sender = self.read.byte() % 5
        message = Message(kind, to=peer.id, from_=sender, term=raw.term, index=raw.last_index, log_term=raw.last_term)
        if kind in (MessageType.MsgProp, MessageType.MsgReadIndex):
            message.term = 0
        if kind == MessageType.MsgSnap:
            message.snapshot = self.snapshot(peer)
        progress = raw.status().progress.get(sender)
        message.conf_index = progress.conf_index if progress is not None else 0
        for _ in range(self.read.byte() % 5):
            self.set_field(peer, message)
        if kind == MessageType.MsgProp or (kind == MessageType.MsgApp and self.read.byte() & 1):
            message.entries = self.entries(message)
        self.send(peer, message, sender)

    def hostile_leader(self, peer: Peer) -> None:
        """An append, heartbeat or snapshot of a later term, which makes a follower of anybody."""
        kind = (MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgSnap)[self.read.byte() % 3]
        raw = peer.raw
        message = Message(kind, to=peer.id, from_=1 + self.read.byte() % 4, term=raw.term + 1)
        message.index, message.log_term = raw.last_index, raw.last_term
        if kind == MessageType.MsgSnap:
            message.snapshot = self.snapshot(peer)
        elif kind == MessageType.MsgApp:
            back = min(self.read.byte() % 6, raw.last_index)
            message.index -= back
            message.log_term = raw.term_at(message.index) or 0
            message.entries = self.entries(message)
            message.commit = self.read.number(raw.last_index)
        self.send(peer, message, message.from_)

    def set_field(self, peer: Peer, message: Message) -> None:
        """One field gets another value: small, near to what the receiver has, or extreme."""
        raw = peer.raw
        fields = {
            "term": raw.term, "index": raw.last_index, "log_term": raw.last_term, "commit": raw.commit_index,
            "reject_hint": raw.commit_index, "conf_index": raw.conf_index, "vote": peer.id, "from_": peer.id, "to": 0,
        }  # fmt: skip
        choice = self.read.byte() % (len(fields) + 3)
        if choice < len(fields):
            name = list(fields)[choice]
            setattr(message, name, self.read.number(fields[name]))
        elif choice == len(fields):
            message.reject = not message.reject
        elif choice == len(fields) + 1:
            message.context = self.read.take(self.read.byte() % 40)
        else:
            message.context = b"CampaignTransfer"

    def entries(self, message: Message) -> Entries | None:
        """A few entries that follow the message's index, their terms near its own."""
        shape = self.read.byte()
        first = 1 if message.type == MessageType.MsgProp else message.index + 1
        term = 1 if message.type == MessageType.MsgProp else max(1, message.term - (shape >> 6))
        built = []
        for offset in range(shape % 4):
            kind = EntryKind(self.read.byte() % 4)
            data = b"" if kind == EntryKind.EntryNoop else self.read.take(self.read.byte() % 24)
            built.append(Entry(min(term, 2**64 - 1), min(first + offset, 2**64 - 1), kind, data))
            term += shape >> 5 & 1 if message.type != MessageType.MsgProp else 0
        try:
            return Entries.build(built, self.read.number(self.cluster.now_ms)) if built else None
        except ValueError:
            return None  # these cannot even be written down

    def snapshot(self, peer: Peer) -> Snapshot:
        raw = peer.raw
        index, term = self.read.number(raw.last_index), self.read.number(raw.term)
        shape = self.read.byte()
        groups = [[i + 1 for i in range(4) if bits >> i & 1] for bits in self.read.take(4)]
        groups += [[]] * (4 - len(groups))
        state = ConfState(*groups, bool(shape & 1)) if shape & 2 else raw.conf_state
        conf_index = min(self.read.number(raw.conf_index), index)
        time_ms = self.read.number(self.cluster.now_ms)
        return Snapshot(index, term, state, conf_index, time_ms)

    def send(self, peer: Peer, message: Message, sender: int) -> None:
        """Steps it if it can be written down at all: then a decoder lets it in."""
        try:
            kind, body = encode_message(message)
        except ValueError:
            return
        self.hostile(peer, kind, body, sender)

    def hostile(self, peer: Peer, kind: int, body: bytes, sender: int) -> None:
        self.history = None
        self.step_frame(peer, kind, body, sender)

    def step_frame(self, peer: Peer, kind: int, body: bytes, sender: int) -> None:
        """One frame in a datagram under a right checksum; refused, it must have changed nothing."""
        raw = peer.raw
        builder = DatagramBuilder(Header(from_=sender, to=peer.id), DATAGRAM)
        builder.add_frame(255, body)
        datagram = bytearray(builder.finish())
        datagram[64 + 8] = kind  # DatagramBuilder.add_frame takes only the transport's own kinds
        before, faults, ignored = raw.fingerprint(suspicion=False), raw.faults, raw.ignored
        stepped = raw.step_frames(reseal(datagram))
        refused = (raw.faults - faults) + (raw.ignored - ignored)
        if stepped + refused != 1:
            raise Finding(f"one frame: {stepped} stepped, {refused} refused")
        if refused and raw.fingerprint(suspicion=False) != before:
            raise Finding("a refused frame has changed the node")
        verdict = "fault" if raw.faults > faults else "ignored" if raw.ignored > ignored else "stepped"
        self.seen.add(f"{self.last} {kind} {StateType(raw.state).name} {verdict}")


TABLE: list[Callable[[Program, Peer], None]] = [
    Program.tick, Program.tick, Program.campaign, Program.propose, Program.deliver, Program.deliver, Program.deliver,
    Program.deliver, Program.settle, Program.settle, Program.write, Program.write, Program.apply, Program.apply,
    Program.change, Program.transfer, Program.read_index, Program.compact, Program.restart, Program.forget_leader,
    Program.unreachable, Program.snapshot_status, Program.clone, Program.hostile_bytes, Program.hostile_changed,
    Program.hostile_changed, Program.hostile_message, Program.hostile_message, Program.hostile_leader,
    Program.hostile_leader, Program.started, Program.offer_snapshot,
]  # fmt: skip


def run(data: bytes) -> set[str]:
    """Runs the program in ``data``. Returns what happened; anything raised is a finding."""
    program = Program(data)
    program.run()
    return program.seen
