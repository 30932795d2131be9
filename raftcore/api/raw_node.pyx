"""RawNode: the public face of the core."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from hashlib import blake2b

from raftcore.base.errors import ConfigError
from raftcore.membership.confchange import ConfChange, ConfChangeV2
from raftcore.values.changes import ProposedChange

cimport cython
from raftcore.algorithm.membership_changes cimport apply_change, restore_configuration
from raftcore.algorithm.options.priority cimport begun_anew
from raftcore.algorithm.proposals cimport forward_payloads, propose_payloads, refusal
from raftcore.algorithm.roles cimport become_follower, start, write_took
from raftcore.algorithm.sending cimport resume_sending
from raftcore.algorithm.snapshots cimport needs_snapshot, offer_snapshot, state_restored
from raftcore.algorithm.state cimport Raft
from raftcore.algorithm.step cimport due_within, nobody_can_lead, step, tick, ticks_until_due
from raftcore.algorithm.transfer cimport successors
from raftcore.api cimport take_ready
from raftcore.api.outbox cimport Outbox
from raftcore.api.ready cimport (
    Ready, append_message, append_response_needed, apply_message, apply_response, new_ready, quarantined_ready,
)
from raftcore.api.receive cimport (
    receive_commands, receive_datagram, receive_frame, receive_message, receive_read, set_now,
)
from raftcore.api.status cimport status_of
from raftcore.api.take_ready cimport accept_ready, append_response, has_ready, mark_reported
from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.types cimport (
    EntryConfChange, EntryConfChangeV2, EntryNoop, MsgForgetLeader, MsgHup, MsgSnapStatus, MsgTransferLeader,
    MsgUnreachable, StateFollower, StateLeader, StateQuarantined, index_t, node_id_t, term_t,
)
from raftcore.check.clone cimport clone_raft, fingerprint_raft
from raftcore.check.invariants cimport CHECK_EACH_STEP, check_raft
from raftcore.log.log cimport log_of
from raftcore.log.log_entries cimport term_at
from raftcore.membership.tracker cimport Tracker
from raftcore.values.message cimport Entries, Message, Snapshot, new_message, queue_listed, queue_taken
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE

cdef enum:
    LONGEST_WRITE = 1 << 20  # ticks; whatever takes longer counts as this


cdef class RawNode:
    """One node of one Raft group as a state machine (etcd/raft's RawNode): messages, ticks, proposals in, a Ready out.

    It has no clock, no socket, no file and no random source of its own: the same calls give the same results. Not
    thread-safe. The driver's loop, in the driver's form (``async_storage_writes=True``)::

        node.tick(now_ms) / node.step(message) / node.propose(commands, now_ms)
        while node.has_ready():
            for message in node.ready().messages:
                LOCAL_APPEND_THREAD: write it, and AFTER it is durable deliver its responses
                LOCAL_APPLY_THREAD:  apply its entries, AFTER that deliver its responses
                anyone else:         send it, at once

    Responses addressed to this node are given to :meth:`step`, the others are sent. Made from ``config``, what the
    storage holds (``initial``), and the ``storage`` view that reads back entries which are not in memory. Raises
    ConfigError when ``initial`` contradicts itself or the settings, ConfChangeError when its configuration is none.

    ``now_ms`` is always the caller's clock in milliseconds; what lies before the newest one given is ignored. Node ids,
    indexes and terms are 0 to 2**64 - 1: OverflowError for others. A quarantined node takes part in nothing: it ignores
    messages and requests, drops proposals, and hears of its own storage work only.
    """

    def __init__(self, config, initial, storage):
        cdef Raft r
        hard = initial.hard_state
        log = log_of(config, initial, storage)
        tracker = Tracker(config.max_inflight_msgs, config.max_inflight_bytes)
        r = Raft(config, log, tracker)
        self.raft = r
        self.on_advance = None
        restore_configuration(r, initial.conf_state, initial.conf_index)
        start(r, hard.term, hard.vote, initial.conflict)
        mark_reported(r, &self.reported)
        self.writes.commit = r.log.committed

    # -- inputs ---------------------------------------------------------------------------------------------------

    def tick(self, uint64_t now_ms=0, uint32_t count=1):
        """``count`` ticks of the logical clock (below 2**32; 0 only tells the time ``now_ms``, which becomes log time):
        the same as so many calls with one tick each, at no more cost than one.

        What several ticks make due is done that often: a caller that was held up for long, and wants fewer heartbeats
        than that, gives fewer ticks. They lead to elections (paper 5.2), on a leader to heartbeats and the quorum check
        (thesis 6.2); a learner, a witness, a node that is no member or is quarantined only counts them.
        """
        self._tick(now_ms, count)

    cdef int _tick(self, uint64_t now_ms, uint32_t count) except -1:
        set_now(self.raft, now_ms)
        tick(self.raft, count)
        if CHECK_EACH_STEP:
            check_raft(self.raft)
        return 0

    def ticks_until_due(self):
        """How many ticks until one may do something besides counting, that one included; at least 1.

        The rest of the election timeout, or on a leader of the heartbeat interval. ``2**30`` on a node that may not
        stand for election. Until then a caller may leave ticks out and make up for them later in one call of
        :meth:`tick`, but before any other call that finds it due: messages restart the timeouts. Any call but
        :meth:`tick` may change the answer."""
        return ticks_until_due(self.raft)

    cdef uint64_t _due_within(self, uint64_t most) except 0:
        return due_within(self.raft, most)

    def step(self, Message message not None):
        """Takes one message, from another node or from local storage work; what this role has no use for is ignored.

        Raises:
            StepLocalMessage: a message that only this node sends itself came from outside.
            StepPeerNotFound: an answer from a node that is not a member.
            PeerFault: no correct peer sends this; nothing has changed.
            ProposalDropped: a forwarded proposal could not be appended; nothing has changed, its sender is not told.
            LogTemporarilyUnavailable: what it has to be compared with cannot be read now; the log stays as it is.
        """
        receive_message(self.raft, message)

    @cython.binding(False)
    def step_frames(self, buffer, Py_ssize_t offset=DATAGRAM_HEADER_SIZE, uint64_t group=0):
        """Steps the messages for ``group`` in a datagram's frames, from byte ``offset`` on; the number stepped.

        The datagram's header must have been checked. A frame that cannot be decoded, or that no correct peer sends, is
        counted in ``faults``; one that does not concern this node in ``ignored``. Either way the rest goes on. Raises
        ValueError when ``buffer`` is shorter than ``offset``, or ``offset`` lies within the header.
        """
        return receive_datagram(self.raft, buffer, offset, group, &self.refused)

    def step_frame(self, buffer, Py_ssize_t offset):
        """Steps the message in the frame at ``offset`` of a datagram, whatever its group; False: none, or refused.

        For processes with several groups, which look at each frame of a datagram once and hand it to its group's core
        (:func:`raftcore.wire.codec.frame_at`). Checked before, and counted in ``faults`` and ``ignored``, as in
        :meth:`step_frames`; a frame that is cut short is one fault. ValueError when none can begin at ``offset``.
        """
        cdef Buffer view = buffer_of(buffer)
        if not DATAGRAM_HEADER_SIZE <= offset < view.size:
            raise ValueError(f"no frame at {offset} in a datagram of {view.size} bytes")
        return receive_frame(self.raft, view.at, view.size, &offset, &self.refused) != 0

    @cython.binding(False)
    def propose(self, commands, uint64_t now_ms=0):
        """Appends all commands, in order, and sends them at once (paper 5.3): one call, many commands. Returns the
        index of the first; the others follow, all in ``term``.

        A follower passes them on to its leader (paper 8) and returns 0: whether they arrived, it does not hear.
        ``commands`` are bytes, at least one, each of at most 2**30 - 1 bytes; ``now_ms`` becomes their log time, which
        never decreases. Raises ProposalDropped, whose ``reason`` says why, and TypeError or ValueError for commands
        that are not bytes, too large or none; nothing was appended then.
        """
        return receive_commands(self.raft, commands, now_ms)

    def propose_conf_change(self, change, uint64_t now_ms=0, expected_conf_index=None):
        """Appends a configuration change (thesis 4); as etcd/raft does, an empty entry where it is refused.

        ``change`` is a ConfChange (one change) or a ConfChangeV2; an empty v2 leaves a joint configuration. With
        ``expected_conf_index`` it is refused unless that index gave the applied configuration (compare-and-swap).
        Returns a ProposedChange: the index, and why it was refused, if it was. A follower passes the change on to its
        leader, without ``expected_conf_index``, and returns index 0. Raises ProposalDropped, whose ``reason`` says why,
        and TypeError for a ``change`` of another class; nothing was appended then.
        """
        cdef Raft r = self.raft
        cdef int kind = EntryConfChange if isinstance(change, ConfChange) else EntryConfChangeV2
        if not isinstance(change, (ConfChange, ConfChangeV2)):
            raise TypeError(f"change must be a ConfChange or a ConfChangeV2, not {type(change).__name__}")
        set_now(self.raft, now_ms)
        payload = change.encode()
        if r.state != StateLeader:
            forward_payloads(r, (payload,), kind)
            return ProposedChange(0)
        reason = refusal(r, kind, payload)
        if expected_conf_index is not None and expected_conf_index != r.conf_index:
            reason = f"the configuration is that of index {r.conf_index}, not {expected_conf_index}"
        if reason is not None:
            return ProposedChange(propose_payloads(r, (b"",), EntryNoop), reason)
        return ProposedChange(propose_payloads(r, (payload,), kind))

    def apply_conf_change(self, change, index_t index):
        """Installs the committed change of the entry at ``index`` (thesis 4.1); call it when that is applied.

        ``index`` becomes ``conf_index``, which snapshots carry and followers echo. Returns the new ConfState, to be
        stored with the applied state. Raises ConfChangeError when the change does not fit the configuration, and
        ValueError when ``index`` was not handed out to be applied; nothing has changed then.
        """
        if not 0 < index <= self.raft.log.applying:
            raise ValueError(f"index must be that of an entry handed out, 1 to {self.raft.log.applying}, not {index}")
        return apply_change(self.raft, change, index)

    def campaign(self):
        """Stand for election now (paper 5.2), or again; with ``pre_vote``, ask first if it could be won (thesis 9.6).

        Ignored on a leader, a learner, a witness and a node that is no member; while a restored snapshot is not
        durable, the state not restored, or a committed change of the configuration not applied; and with a lease
        (thesis 6.4.1) for ``election_tick`` ticks after a leader's last word, or the start."""
        step(self.raft, new_message(MsgHup, self.raft.id))

    def forget_leader(self):
        """Forget who leads, so that another may be voted for at once; the leader's next message undoes it (etcd/raft).
        Ignored by all but followers, and with ``ignore_forget_leader``. What was promised to a lease stays promised."""
        step(self.raft, new_message(MsgForgetLeader, self.raft.id))

    def step_down(self):
        """Give up leading, or standing, in this term: what peers have answered counts no more. Any other role stays."""
        if self.raft.state != StateFollower and self.raft.state != StateQuarantined:
            become_follower(self.raft, self.raft.term, 0)

    def transfer_leader(self, node_id_t to):
        """Hand leadership over to ``to``, a voter's id (thesis 3.10), and drop proposals meanwhile, for
        ``election_tick`` ticks at most; a follower asks its leader to. What becomes of it, ``leader`` tells.

        A leader ignores a target that is no voter, or a witness; another voter takes the place of the running
        transfer's target, its own id only ends it. Candidates ignore the call, and so do followers that know no leader.
        """
        m = new_message(MsgTransferLeader, self.raft.id)
        m.from_ = to
        step(self.raft, m)

    def successors(self):
        """Ids of the voters that a leader may hand over to (thesis 3.10), none of them a witness or short of what is
        committed, best first: by priority, length of the log, id. Empty on others than a leader."""
        return successors(self.raft)

    def read_index(self, bytes context not None, uint64_t now_ms=0):
        """Ask for a read index (thesis 6.4); the answer appears in ``Ready.read_states`` under ``context``. False when
        there is no leader to ask: no request was made. Requests may also be lost on their way or when the leader
        changes: ask again after a while. A leader answers only once it has committed an entry of its own term.

        ``context`` must not be empty, and be used once. Nothing compares it with others: requests under one context are
        all answered, each with its own index, and the older index taken for the newer read misses writes. An answer may
        come late, after a restart of this node too; so it is made of, say, this start's number and a counter.
        """
        return receive_read(self.raft, context, now_ms)

    def report_no_leader(self, uint64_t now_ms=0):
        """All members are new, none has a term yet: there is no leader that could be heard from.

        A follower waits at least the shortest election timeout for a leader's word (paper 5.2). That much counts as
        over, and only what this node has drawn beyond it is waited for. Without effect on a node that has a term: then
        there may be a leader, and others may rely on that timeout (thesis 4.2.3, 6.4.1).
        """
        set_now(self.raft, now_ms)
        nobody_can_lead(self.raft)
        if CHECK_EACH_STEP:
            check_raft(self.raft)

    def report_unreachable(self, node_id_t id):
        """The transport could not deliver to ``id``: a leader that sends to it optimistically (``StateReplicate``) goes
        back to probing (etcd/raft). Ignored in any other state, about who is no member, and by all but leaders."""
        m = new_message(MsgUnreachable, self.raft.id)
        m.from_ = id
        step(self.raft, m)

    def report_started(self, node_id_t id):
        """The member ``id`` was started again: handing over to it by priority is tried as at first. For leaders."""
        begun_anew(self.raft, id)

    def report_snapshot(self, node_id_t id, bint ok):
        """Whether the snapshot sent to ``id`` arrived (etcd/raft): if so, the log goes on behind it at the member's
        next answer; if not, it is sent again then. Until it is reported, or the member acknowledges it, nothing more is
        sent to ``id``. Ignored unless a snapshot is on its way to ``id``, and by all but leaders."""
        m = new_message(MsgSnapStatus, self.raft.id)
        m.from_ = id
        m.reject = not ok
        step(self.raft, m)

    def offer_snapshot(self, node_id_t id, Snapshot snapshot not None):
        """Sends ``id`` this snapshot, be it an older one, in place of that which is on its way to it; False where none
        is, or the log does not go on behind it. The caller keeps its bytes, as of any snapshot that was sent."""
        return bool(offer_snapshot(self.raft, id, snapshot))

    def hold_snapshots(self):
        """From now on a MsgSnap in a frame is not stepped but held back, for drivers that have to bring its bytes
        first. The node answers for everything else meanwhile; that its leader lives it hears by heartbeats. Where one
        that is stepped takes the place of the log, the driver restores the state machine once that is durable, and
        says so (:meth:`state_restored`)."""
        if self.raft.offers is None:
            self.raft.offers = []

    def take_offers(self):
        """The messages held back, oldest first, which are the caller's from now on. Each may be stepped later, once
        :meth:`needs_snapshot` has said no, or its bytes are there."""
        cdef list offers = self.raft.offers
        if not offers:
            return []
        self.raft.offers = []
        return offers

    def needs_snapshot(self, Message message not None):
        """Would this MsgSnap, stepped now, take the place of this node's log? If not, nothing has to be brought for it:
        it only answers its leader, or is ignored."""
        return bool(needs_snapshot(self.raft, message))

    def state_restored(self, Snapshot snapshot not None):
        """The state machine is as of ``snapshot``: what is committed behind it is handed out from now on, and the node
        stands for election again. Its configuration takes effect, as it does where it takes the place of the log.

        For a node that ``awaits_state``: one whose log became a snapshot, with ``hold_snapshots``, or one that was
        started without a state (``InitialState``) and has got one from another node. The log stays as it is. False, and
        nothing is done, unless :meth:`state_fits`: the log may have become another snapshot meanwhile. ConfChangeError
        when the configuration is none."""
        return bool(state_restored(self.raft, snapshot))

    def state_fits(self, index_t index, term_t term):
        """Whether the node ``awaits_state``, and the committed entry (``index``, ``term``) is durable in its log, or
        the one just before that: then a state as of it may be restored. Never where quarantined."""
        return self.raft.state != StateQuarantined and bool(self.raft.log.state_fits(index, term))

    @property
    def awaits_state(self):
        """Whether the state machine has no state that this log goes on from: nothing is handed out to be applied, and
        the node stands for no election, also where it is asked to (MsgTimeoutNow). It votes and acknowledges."""
        return bool(self.raft.log.awaits_state)

    def pending_snapshots(self):
        """(id, index) of each member that a snapshot is on its way to, and its index; of a leader alone it is news."""
        return [(pr.id, pr.pending_snapshot) for pr in self.raft.tracker.ordered if pr.pending_snapshot]

    @property
    def unstable_snapshot(self):
        """Index of a snapshot that has taken the place of the log and is not durable yet (paper 7); 0 for none."""
        snapshot = self.raft.log.unstable.snapshot
        return 0 if snapshot is None else snapshot.index

    def report_entries(self):
        """Entries that the storage view did not have at hand (PagedStorageView) may be there now: what waits for them
        goes on, be it a follower that lacks them or the state machine, and asks the view again. To be called also where
        they cannot be had any more, because the log was compacted meanwhile: then a follower is sent a snapshot."""
        self.raft.log.entries_at_hand()
        resume_sending(self.raft)
        if CHECK_EACH_STEP:
            check_raft(self.raft)

    def report_write(self, uint64_t ticks):
        """A write took so many ticks, from being handed out until it was durable; 0: less than one.

        Only a node that knows no leader uses it, and of the writes so far it uses the longest: the stored figure halves
        with each write that is shorter. From it follows how much longer the node waits for the outcome of an election,
        whose writes come one after the other, so that one is won on slow disks too; what it waits already becomes
        shorter with the figure. It changes neither when a leader is missed nor how long votes are refused.
        """
        write_took(self.raft, <int64_t> min(ticks, LONGEST_WRITE))

    def limit_messages(self, uint64_t size):
        """An append holds at most so many bytes of blocks from now on, or one entry; the Config's is the most."""
        self.raft.message_size = min(size, self.raft.options.max_size_per_msg)

    def set_far(self, members=()):
        """Appends to these members, by id, are limited by the Config alone from now on; to no others."""
        self.raft.far = frozenset(members) or None

    def set_members(self, witnesses=(), priorities=None):
        """What the replicated member table says of the members, beyond the configuration: call it when that changes.
        Replaces what was said before, by ``Config`` too: ``witnesses``, the ids of the voters without payloads (a
        member stays what it was added as), and ``priorities``, node id -> election priority, 0 for those not named."""
        self.raft.witnesses = frozenset(witnesses) if witnesses else None
        self.raft.priorities = dict(priorities) if priorities else None

    def compact(self, index_t index):
        """Forget the log up to and including ``index``, in any role (paper 7); the storage follows AFTER that.

        The entry must be applied, and durable: its write, or that of a snapshot in its place, was reported to this core
        as done. That the storage's snapshot covers it is the caller's to see to: a leader that must send one which does
        not raises InvariantViolation. Raises Compacted when that is done, Unavailable before it is applied and durable.
        """
        self.raft.log.compact(index)

    # -- outputs --------------------------------------------------------------------------------------------------

    def has_ready(self):
        """Is there anything in the next Ready, or for the next :meth:`collect`?"""
        return has_ready(self.raft, &self.reported, not self.raft.options.async_storage_writes)

    def ready(self):
        """Takes the outstanding work; see :class:`raftcore.Ready` for what comes BEFORE and AFTER what.

        In the plain form each Ready must be followed by :meth:`advance` before the next is taken (ConfigError).
        """
        cdef Raft r = self.raft
        cdef Ready rd
        cdef bint plain = not self.raft.options.async_storage_writes
        self._use(AS_READY)
        if plain and self.on_advance is not None:
            raise ConfigError("ready() was called twice without advance() in between")
        if r.state == StateQuarantined:
            self.on_advance = [] if plain else None
            return quarantined_ready(r, &self.reported)
        rd = new_ready(r, &self.reported, plain)
        rd.messages = queue_taken(&r.messages)
        if plain:
            self._collect_plain(rd)
        else:
            if (rd.entries is not None or rd.hard_state is not None or rd.snapshot is not None
                    or r.after_append.count):
                rd.messages.append(append_message(r, rd))
            if rd.committed_entries is not None:
                rd.messages.append(apply_message(r, rd))
        accept_ready(r, &self.reported, rd.committed_entries, plain)
        if CHECK_EACH_STEP:
            check_raft(r)
        return rd

    cdef int _collect_plain(self, Ready rd) except -1:
        cdef Raft r = self.raft
        cdef Message m
        self.on_advance = []
        for m in queue_taken(&r.after_append):
            (self.on_advance if m.to == r.id else rd.messages).append(m)
        if append_response_needed(r, rd):
            self.on_advance.append(append_response(r, rd.snapshot))
        if rd.committed_entries is not None:
            self.on_advance.append(apply_response(r, rd))
        return 0

    def advance(self):
        """Plain form: the last Ready has been written, sent and applied.

        Raises:
            ConfigError: there is no Ready out, or this node uses the driver's form.
        """
        if self.on_advance is None:
            raise ConfigError("advance() needs a Ready taken before it, in the plain form")
        steps = self.on_advance
        self.on_advance = None
        for m in steps:
            step(self.raft, m)
            if CHECK_EACH_STEP:
                check_raft(self.raft)

    @cython.binding(False)
    def collect(self, Outbox outbox not None):
        """Takes the outstanding work into an outbox, messages as datagrams; True when there was any.

        The driver's form (else ConfigError), without Python objects for messages. A node whose work is taken this way
        gives no Ready; it owes the outbox's appends to :meth:`written` and its applies to :meth:`applied`.
        """
        self._use(IN_OUTBOX)
        return take_ready.collect(self.raft, &self.reported, &self.writes, outbox)

    @cython.binding(False)
    def written(self, appends, Outbox outbox not None):
        """Appends from :meth:`collect` are durable. What hung on them is done, or put into the outbox to be sent.

        They are reported in the order in which they came, each once (ConfigError). True: something is to be collected.
        """
        take_ready.written(self.raft, &self.writes, appends, outbox)
        return has_ready(self.raft, &self.reported, False)

    @cython.binding(False)
    def applied(self, Entries entries not None):
        """Entries from :meth:`collect` are applied, in order (InvariantViolation). True: there is more to collect."""
        take_ready.applied(self.raft, entries)
        return has_ready(self.raft, &self.reported, False)

    def status(self):
        """A :class:`raftcore.Status`: the state of this node and, on a leader, of every member's progress."""
        return status_of(self.raft)

    def clone(self, storage=None):
        """A copy of the whole state that goes its own way from here on, over ``storage`` (None: the same view);
        payloads are shared, nothing that changes."""
        cdef RawNode copy = RawNode.__new__(RawNode)
        copy.raft = clone_raft(self.raft, storage)
        copy.reported = self.reported
        copy.writes = self.writes
        copy.form = self.form
        copy.on_advance = None if self.on_advance is None else list(self.on_advance)
        copy.refused = self.refused
        return copy

    def fingerprint(self, bint suspicion=True):
        """16 bytes: the same for nodes in the same protocol state, whatever way led there; stable over processes.
        ``suspicion`` False leaves out what is noted of a leader that contradicts this node: all a PeerFault changes."""
        cdef bytes inner = fingerprint_raft(self.raft, suspicion)
        rest = (self.raft.options.async_storage_writes, self.reported.lead, self.reported.state, self.reported.term,
                self.reported.vote, self.reported.commit, self.on_advance)
        if self.form == IN_OUTBOX:
            waiting = [(<Message> m).write - self.writes.done for m in queue_listed(&self.raft.waiting)]
            rest += (self.writes.begun - self.writes.done, self.writes.commit, waiting)
        return blake2b(inner + repr(rest).encode(), digest_size=16).digest()

    def progress(self):
        """(id, printed form) of every known member's progress, by id, for transcripts; old on others than a leader."""
        return [(pr.id, pr.describe()) for pr in self.raft.tracker.ordered]

    def term_at(self, index_t index):
        """The term of the entry at ``index``, or None when that is not known (compacted, or beyond the log)."""
        cdef term_t term = 0
        return term if term_at(self.raft.log, index, &term) else None

    def set_randomized_election_timeout(self, int ticks):
        """Pins the election timeout, in ticks, until the next change of role; for tests and transcripts."""
        self.raft.randomized_timeout = ticks
        self.raft.election_wait = 0

    # -- the state in words ---------------------------------------------------------------------------------------

    @property
    def faults(self):
        """Frames refused since the start: undecodable, or what no correct peer sends. What :meth:`step` refuses it
        raises."""
        return self.refused.faults

    @property
    def ignored(self):
        """Messages in frames that changed nothing, since the start: unknown senders, dropped proposals, unread logs."""
        return self.refused.ignored

    @property
    def id(self):
        """This node's id."""
        return self.raft.id

    @property
    def term(self):
        """The latest term this node has seen, 0 before the first; Status says more of this and what follows."""
        return self.raft.term

    @property
    def vote(self):
        """Whom this node voted for in ``term``; 0 for nobody."""
        return self.raft.vote

    @property
    def state(self):
        """Role, as :class:`raftcore.base.types.StateType`'s number."""
        return self.raft.state

    @property
    def conflict(self):
        """Why this node is quarantined, a :class:`raftcore.Conflict`; None when it is not. It is for ever: the driver
        makes it durable, for ``InitialState.conflict``, and serves nothing any more."""
        return self.raft.conflict

    @property
    def leader(self):
        """Id of the leader as far as known; 0 for none."""
        return self.raft.lead

    @property
    def commit_index(self):
        """Highest index known to be committed."""
        return self.raft.log.committed

    @property
    def applied_index(self):
        """Highest index reported as applied."""
        return self.raft.log.applied

    @property
    def first_index(self):
        """Index of the log's first entry."""
        return self.raft.log.first_index()

    @property
    def last_index(self):
        """Index of the log's last entry, durable or not."""
        return self.raft.log.last_index()

    @property
    def last_term(self):
        """Term of the log's last entry."""
        return self.raft.log.last_term()

    @property
    def last_time_ms(self):
        """Log time of the log's last entry, in milliseconds: its leader's clock, and never decreasing."""
        return self.raft.log.last_time()

    @property
    def conf_state(self):
        """The applied configuration."""
        return self.raft.tracker.conf_state()

    @property
    def conf_index(self):
        """Index of the entry that the applied configuration comes from; 0 for the one given at the start."""
        return self.raft.conf_index

    @property
    def pending_conf_index(self):
        """On a leader: changes of the configuration are refused until this index is applied. 0 on others."""
        return self.raft.pending_conf_index

    # -- inside ---------------------------------------------------------------------------------------------------

    cdef int _use(self, int form) except -1:
        if self.form != form:
            if self.form != UNDECIDED:
                raise ConfigError("a node's work is taken either by ready() or by collect(), not by both")
            if form == IN_OUTBOX and not self.raft.options.async_storage_writes:
                raise ConfigError("collect() is for the driver's form: async_storage_writes=True")
            self.form = form
        return 0
