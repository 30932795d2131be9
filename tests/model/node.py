"""ModelNode: the whole node; the interface is RawNode's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    UNLIMITED,
    ConfChange,
    ConfChangeV2,
    Config,
    ConfState,
    EntryKind,
    MessageType,
)
from tests.model.faults import ANSWERS, LOCAL, OF_LEADERS, Faults
from tests.model.log import Item, applying_size
from tests.model.membership import decode
from tests.model.node_log import CONF_CHANGES
from tests.model.progress import PROBE, REPLICATE, SNAPSHOT
from tests.model.state import FOLLOWER, LEADER, NOOP, ModelStorage, dropped
from tests.model.values import HardState, Message, Placed, Ready, Rejected, Start, payload_bytes, placed

THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
OF_MEMBERS = {
    MessageType.MsgAppResp,
    MessageType.MsgHeartbeatResp,
    MessageType.MsgSnapStatus,
    MessageType.MsgUnreachable,
}


OF_STORAGE = {MessageType.MsgStorageAppendResp, MessageType.MsgStorageApplyResp}


class ModelNode(Faults):
    def __init__(self, config: Config, start: Start, storage: ModelStorage) -> None:
        super().__init__(config, start, storage)
        self.plain_form = not config.async_storage_writes
        self.on_advance: list[Message] | None = None
        self.before = self.standing()

    # Inputs

    def tick(self, now: int = 0, count: int = 1) -> None:
        self.hear_time(now)
        for _ in range(count):
            self.tick_once()

    def tick_once(self) -> None:
        self.elapsed += 1
        self.contact += 1
        if self.suspicion is not None:
            self.suspicion.ticks += 1
        if not self.is_leader():
            if self.elapsed >= self.timeout + self.writes_wait and self.may_stand():
                self.elapsed = 0
                self.stand(ordered=False)
            return
        self.heartbeat_elapsed += 1
        if self.elapsed >= self.config.election_tick:
            self.timeout_led()
        if self.is_leader() and self.heartbeat_elapsed >= self.heartbeat_pause:
            self.heartbeat_elapsed = 0
            begun = self.round, bool(self.waiting_reads)
            self.beat()
            self.pause_after_heartbeat(*begun)

    def pause_after_heartbeat(self, round_before: int, reads_wait: bool) -> None:
        """How long until the next: longer where it has nothing to repeat, since nothing was begun or is missing."""
        last = self.log.last
        settled = self.log.committed == last and all(member.match == last for member in self.progress.values())
        quiet = settled and not reads_wait and self.at_heartbeat == (last, round_before)
        self.heartbeat_pause = self.config.quiet_heartbeat_tick if quiet else 0
        self.heartbeat_pause = max(self.heartbeat_pause, self.config.heartbeat_tick)
        self.at_heartbeat = (last, self.round)
        ends = self.elapsed + self.heartbeat_pause > self.config.election_tick
        ends = ends and self.elapsed >= 2 * self.heartbeat_pause  # two heartbeats were answered, or one of them
        if ends and self.heartbeat_pause > self.config.heartbeat_tick and not self.transferee:
            self.timeout_led()  # as nothing will wake it when the time has come

    def timeout_led(self) -> None:
        self.elapsed = 0
        self.transferee = 0  # a transfer has one election timeout (thesis 3.10)
        self.prefer()
        if self.config.check_quorum:
            self.check_quorum()

    def ticks_until_due(self) -> int:
        """Which of the next ticks may do more than count; 2**30 for never."""
        if self.is_leader():
            due = min(self.config.election_tick - self.elapsed, self.heartbeat_pause - self.heartbeat_elapsed)
        else:
            due = self.timeout + self.writes_wait - self.elapsed if self.may_stand() else 1 << 30
        return max(1, due)

    def step(self, message: Message) -> None:
        if message.from_ not in THREADS:
            if message.type in LOCAL:
                raise Rejected("StepLocalMessage")
            if message.from_ != self.id:
                if message.type in ANSWERS and message.from_ not in self.progress:
                    raise Rejected("StepPeerNotFound")
                self.check_peer(message)
        self.take(message)

    def propose(self, commands: Sequence[bytes], now: int = 0) -> int:
        self.hear_time(now)
        entries = [Placed(i + 1, 1, int(EntryKind.EntryNormal), command, 0) for i, command in enumerate(commands)]
        if self.is_leader():
            return self.append_proposal(entries)
        return self.forward(self.id, entries)

    def propose_conf_change(
        self, change: ConfChange | ConfChangeV2, now: int = 0, expected_conf_index: int | None = None
    ) -> tuple[int, str | None]:
        self.hear_time(now)
        kind = EntryKind.EntryConfChange if isinstance(change, ConfChange) else EntryKind.EntryConfChangeV2
        entry = Placed(1, 1, int(kind), change.encode(), 0)
        if not self.is_leader():
            return self.forward(self.id, [entry]), None
        reason = self.refusal(change.as_v2())
        if expected_conf_index not in (None, self.conf_index):
            reason = f"the configuration is that of index {self.conf_index}, not {expected_conf_index}"
        if reason is not None:
            entry = entry._replace(kind=NOOP, data=b"")
        return self.append_proposal([entry], checked=True), reason

    def apply_conf_change(self, change: ConfChange | ConfChangeV2, index: int = 0) -> ConfState:
        return self.apply_change(change.as_v2(), index or self.log.applying)

    def campaign(self) -> None:
        self.stand(ordered=False)

    def forget_leader(self) -> None:
        self.take(Message(MessageType.MsgForgetLeader))

    def transfer_leader(self, to: int) -> None:
        self.take(Message(MessageType.MsgTransferLeader, from_=to))

    def read_index(self, context: bytes, now: int = 0) -> bool:
        self.hear_time(now)
        if not self.is_leader() and (self.leader == 0 or self.role != FOLLOWER):
            return False
        self.take(Message(MessageType.MsgReadIndex, from_=self.id, context=context))
        return True

    def report_unreachable(self, id: int) -> None:
        self.take(Message(MessageType.MsgUnreachable, from_=id))

    def report_started(self, id: int) -> None:
        if self.is_leader() and id in self.progress:
            self.progress[id].takeover_pause = self.progress[id].takeover_tries = 0

    def report_snapshot(self, id: int, ok: bool) -> None:
        self.take(Message(MessageType.MsgSnapStatus, from_=id, reject=not ok))

    def report_write(self, ticks: int) -> None:
        before, self.write_ticks = self.write_ticks, max(ticks, self.write_ticks // 2)
        drawn = self.writes_wait - self.vote_ticks
        if drawn > 0 and self.write_ticks < before:  # free choice: what was drawn by a longer write, in proportion
            self.writes_wait = self.vote_ticks + drawn * self.write_ticks // before

    def set_members(self, witnesses: Sequence[int] = (), priorities: Mapping[int, int] | None = None) -> None:
        self.witnesses, self.priorities = set(witnesses), dict(priorities or {})

    def set_randomized_election_timeout(self, ticks: int) -> None:
        self.timeout, self.writes_wait = ticks, 0

    def compact(self, index: int) -> None:
        self.log.compact(index)

    def hear_time(self, now: int) -> None:
        self.now = max(self.now, now)

    # A message

    def take(self, message: Message) -> None:
        """Rules for servers, all servers (Figure 2): the term first, then what this role does with it."""
        if self.conflict is not None and message.type not in OF_STORAGE:
            return  # it hears nothing any more
        if message.term > self.term and not self.enter_term(message):
            return
        if 0 < message.term < self.term:
            self.answer_former_term(message)
            return
        if message.type in OF_MEMBERS and self.is_leader() and not self.is_current_member(message):
            return
        handler = HANDLERS.get(message.type)
        if handler is not None:
            handler(self, message)

    def enter_term(self, message: Message) -> bool:
        """A higher term makes a follower, but not where a pre-vote only asks or grants. False: ignore the message."""
        if message.type in (MessageType.MsgVote, MessageType.MsgPreVote) and self.hears_a_leader(message):
            return False
        asks = message.type == MessageType.MsgPreVote
        grants = message.type == MessageType.MsgPreVoteResp and not message.reject
        if not asks and not grants:
            self.become_follower(message.term, message.from_ if message.type in OF_LEADERS else 0)
        return True

    def answer_former_term(self, message: Message) -> None:
        """Ignored, but where that would leave somebody stuck in the former term (thesis 4.2.3, 9.6)."""
        helps = self.config.check_quorum or self.config.pre_vote
        if helps and message.type in (MessageType.MsgHeartbeat, MessageType.MsgApp):
            self.send(Message(MessageType.MsgAppResp, message.from_, conf_index=message.conf_index))
        elif message.type == MessageType.MsgPreVote:
            self.send(Message(MessageType.MsgPreVoteResp, message.from_, term=self.term, reject=True))
        elif message.type == MessageType.MsgVoteResp:
            self.vote_came_late(message)
        elif message.type == MessageType.MsgStorageAppendResp and message.snapshot is not None:
            self.snapshot_written(message)  # what is committed is so in any term; the entries may have been replaced

    def is_current_member(self, message: Message) -> bool:
        member = self.progress.get(message.from_)
        if member is None:
            return False
        echoed = message.type in (MessageType.MsgAppResp, MessageType.MsgHeartbeatResp)
        return not echoed or message.from_ == self.id or message.conf_index == member.conf_index

    def from_leader(self, message: Message) -> None:
        """An append, heartbeat or snapshot of this term: whoever sent it leads."""
        if self.is_leader():
            return
        if self.role != FOLLOWER:
            self.become_follower(message.term, message.from_)
        if self.leader != message.from_:
            self.leader = message.from_
            self.wait_anew()
        self.elapsed = self.contact = 0
        self.heard_leader_ms = self.now
        if message.type == MessageType.MsgApp:
            self.append_received(message)
        elif message.type == MessageType.MsgHeartbeat:
            self.heartbeat_received(message)
        else:
            self.snapshot_received(message)

    def answered(self, message: Message) -> None:
        if self.is_leader():
            member = self.progress[message.from_]
            if message.type == MessageType.MsgAppResp:
                self.append_answered(member, message)
            elif message.type == MessageType.MsgHeartbeatResp:
                self.heartbeat_answered(member, message)
            elif message.type == MessageType.MsgSnapStatus:
                self.snapshot_reported(member, message.reject)
            else:
                self.unreachable_reported(member)

    def voted(self, message: Message) -> None:
        if self.role not in (FOLLOWER, LEADER):
            self.vote_answered(message)

    def proposed(self, message: Message) -> None:
        if self.is_leader():
            self.append_proposal(message.entries)
        else:
            self.forward(message.from_, message.entries)

    def asked_to_read(self, message: Message) -> None:
        if self.is_leader():
            self.leader_read(message)
        elif self.role == FOLLOWER:
            self.forward_read(message)

    def read_was_answered(self, message: Message) -> None:
        if self.role == FOLLOWER:
            self.read_answered(message)

    def asked_to_transfer(self, message: Message) -> None:
        if self.is_leader():
            self.transfer_asked(message.from_)
        elif self.role == FOLLOWER and self.leader:
            self.send(Message(MessageType.MsgTransferLeader, self.leader, message.from_))

    def told_to_stand(self, message: Message) -> None:
        if self.role == FOLLOWER:
            self.stand(ordered=True)

    def told_to_forget(self, message: Message) -> None:
        if self.role == FOLLOWER and not self.config.ignore_forget_leader:
            self.leader = 0

    # Proposals

    def append_proposal(self, entries: Sequence[Placed], checked: bool = False) -> int:
        """All of a proposal or nothing, in one piece, then sent. checked: its change has been admitted or refused."""
        if not entries:
            raise dropped("empty")
        if self.id not in self.progress:
            raise dropped("removed")
        if self.transferee:
            raise dropped("transferring")
        admitted: list[tuple[int, bytes]] = []
        pending = 0
        for index, entry in enumerate(entries, self.log.last + 1):
            if entry.kind == NOOP and not checked:
                raise dropped("empty")
            change = decode(entry.kind, entry.data) if entry.kind in CONF_CHANGES else None
            more = pending and not self.config.disable_conf_change_validation
            if change is not None and not checked and (more or self.refusal(change)):
                admitted.append((int(NOOP), b""))
            else:
                admitted.append((entry.kind, entry.data))
                pending = index if change is not None else pending
        first = self.append(admitted)
        if first == 0:
            raise dropped("uncommitted_limit")
        self.pending_conf_index = pending or self.pending_conf_index
        self.broadcast_append()
        return first

    def forward(self, origin: int, entries: Sequence[Placed]) -> int:
        if self.conflict is not None:
            raise dropped("quarantined")
        if self.role != FOLLOWER or self.leader == 0:
            raise dropped("no_leader")
        if self.config.disable_proposal_forwarding:
            raise dropped("not_leader")
        self.send(Message(MessageType.MsgProp, self.leader, origin, entries=tuple(entries)))
        return 0

    # Storage

    def was_written(self, message: Message) -> None:
        if message.index and message.conf_index == self.log.rewrites:
            self.log.stable_to(message.index, message.log_term)
        if message.snapshot is not None:
            self.snapshot_written(message)

    def snapshot_written(self, message: Message) -> None:
        assert message.snapshot is not None
        self.log.stable_snapshot_to(message.snapshot.index)
        self.applied(message.snapshot.index, 0)

    def was_applied(self, message: Message) -> None:
        if message.entries:
            size = applying_size([entry.item for entry in message.entries])
            self.applied(message.entries[-1].index, size)
            self.reduce_uncommitted(payload_bytes(message.entries))

    def applied(self, index: int, size: int) -> None:
        self.log.applied_to(max(index, self.log.applied), size)
        self.leave_joint_when_due()

    # Outputs

    def standing(self) -> tuple[tuple[int, int], HardState]:
        return (self.leader, int(self.role)), HardState(self.term, self.vote, self.log.committed)

    def has_ready(self) -> bool:
        log = self.log
        if self.conflict is not None:
            return self.standing()[0] != self.before[0]
        return bool(
            self.messages or self.after_append or self.read_states
            or self.standing() != self.before
            or log.in_progress <= log.last or log.next_committed(self.plain_form)
            or (log.pending is not None and not log.pending_in_progress)
        )  # fmt: skip

    def ready(self) -> Ready:
        if self.plain_form and self.on_advance is not None:
            raise Rejected("ConfigError")
        log, (soft, hard), (soft_before, hard_before) = self.log, self.standing(), self.before
        if self.conflict is not None:
            self.before, self.on_advance = self.standing(), [] if self.plain_form else None
            return Ready(soft_state=soft)
        ready = Ready(
            soft_state=soft if soft != soft_before else None,
            hard_state=hard if hard != hard_before else None,
            read_states=self.read_states,
            entries=placed(log.in_progress, log.at(log.in_progress, log.last + 1)),
            snapshot=None if log.pending_in_progress else log.pending,
            committed=placed(log.applying + 1, self.next_committed()),
            messages=self.messages,
        )
        ready.must_sync = bool(ready.entries) or hard[:2] != hard_before[:2]
        written, applied = self.write_confirmation(ready), self.apply_confirmation(ready)
        if self.plain_form:
            ready.messages += [message for message in self.after_append if message.to != self.id]
            self.on_advance = [message for message in self.after_append if message.to == self.id] + written + applied
        else:
            self.hand_out_work(ready, tuple(self.after_append + written), tuple(applied))
        self.messages, self.after_append, self.read_states = [], [], []
        self.round_open = False
        log.accept_unstable()
        if ready.committed:
            size = applying_size([entry.item for entry in ready.committed])
            log.accept_applying(ready.committed[-1].index, size, self.plain_form)
        self.before = self.standing()
        return ready

    def next_committed(self) -> list[Item]:
        """What is to be applied; none of it where it has to be read first."""
        items = self.log.next_committed(self.plain_form)
        if items and self.log.applying + 1 < self.log.memory_from and not self.storage.at_hand(urgent=True):
            self.log.awaits = True
            return []
        return items

    def picture(self) -> tuple[Any, ...]:
        """What status() says beyond the obvious."""
        c = self.configuration
        known = []
        heard, quorum = self.heard_leader_ms, self.leader != 0
        if self.is_leader():
            # When had more than half of each half of the configuration been heard from?
            heard = min(self.half_heard(c.voters), self.half_heard(c.outgoing), self.now)
            quorum = self.quorum_active()
            for member in self.members():
                why = {PROBE: "probe", REPLICATE: "window", SNAPSHOT: "snapshot"}[member.state]
                why = "entries" if member.awaits else why
                behind = max(0, self.log.last - member.match)
                known.append((member.id, behind, member.heard_ms, why if member.paused else None, member.conf_index))
        in_sync = self.leader != 0 and self.log.applied == self.log.committed
        return self.conf_state, self.transferee, in_sync, quorum, heard, self.now, known

    def half_heard(self, half: frozenset[int]) -> int:
        times = [self.now if id == self.id else self.progress[id].heard_ms for id in half]
        return max((time for time in times if 2 * sum(t >= time for t in times) > len(times)), default=UNLIMITED)

    def write_confirmation(self, ready: Ready) -> list[Message]:
        """Says that all of the log is durable, as it is now and while this term lasts; also beside an older write."""
        unstable = self.log.offset <= self.log.last
        if not unstable and ready.snapshot is None:
            return []
        message = Message(
            MessageType.MsgStorageAppendResp, self.id, LOCAL_APPEND_THREAD, self.term, snapshot=ready.snapshot
        )
        if unstable:
            message.index, message.log_term = self.log.last, self.log.last_term()
            message.conf_index = self.log.rewrites
        return [message]

    def apply_confirmation(self, ready: Ready) -> list[Message]:
        if not ready.committed:
            return []
        return [Message(MessageType.MsgStorageApplyResp, self.id, LOCAL_APPLY_THREAD, entries=ready.committed)]

    def hand_out_work(self, ready: Ready, written: tuple[Message, ...], applied: tuple[Message, ...]) -> None:
        if ready.entries or ready.hard_state or ready.snapshot is not None or self.after_append:
            message = Message(
                MessageType.MsgStorageAppend, LOCAL_APPEND_THREAD, self.id, entries=ready.entries,
                must_sync=ready.must_sync or ready.snapshot is not None, snapshot=ready.snapshot, responses=written,
            )  # fmt: skip
            message.term, message.vote, message.commit = ready.hard_state or HardState()
            ready.messages.append(message)
        if ready.committed:
            ready.messages.append(
                Message(
                    MessageType.MsgStorageApply,
                    LOCAL_APPLY_THREAD,
                    self.id,
                    entries=ready.committed,
                    responses=applied,
                )  # fmt: skip
            )

    def advance(self) -> None:
        if self.on_advance is None:
            raise Rejected("ConfigError")
        messages, self.on_advance = self.on_advance, None
        for message in messages:
            self.take(message)


HANDLERS: dict[int, Any] = {
    MessageType.MsgVote: ModelNode.vote_requested,
    MessageType.MsgPreVote: ModelNode.vote_requested,
    MessageType.MsgVoteResp: ModelNode.voted,
    MessageType.MsgPreVoteResp: ModelNode.voted,
    **dict.fromkeys(OF_LEADERS, ModelNode.from_leader),
    **dict.fromkeys(OF_MEMBERS, ModelNode.answered),
    MessageType.MsgProp: ModelNode.proposed,
    MessageType.MsgReadIndex: ModelNode.asked_to_read,
    MessageType.MsgReadIndexResp: ModelNode.read_was_answered,
    MessageType.MsgTransferLeader: ModelNode.asked_to_transfer,
    MessageType.MsgTimeoutNow: ModelNode.told_to_stand,
    MessageType.MsgForgetLeader: ModelNode.told_to_forget,
    MessageType.MsgStorageAppendResp: ModelNode.was_written,
    MessageType.MsgStorageApplyResp: ModelNode.was_applied,
}
