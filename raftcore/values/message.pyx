"""The values that travel between the core, its peers, its storage and its state machine."""
cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.stdlib cimport free

from raftcore.base.growable cimport make_room
from raftcore.base.types cimport MESSAGE_TYPES

import raftcore.values.entries
from raftcore.base.types import MessageType

# The same names for Python: a cimported class is no module attribute by itself, and cannot be imported over.
globals().update(Entries=raftcore.values.entries.Entries, Entry=raftcore.values.entries.Entry)


@cython.final
cdef class HardState:
    """What must survive a crash besides the log (Figure 2; etcd/raft's HardState). Immutable; OverflowError for numbers
    that are not 0 to 2**64 - 1.

    Attributes:
        term: the latest term that the node has seen, 0 before the first.
        vote: id of the candidate it voted for in that term, 0 for nobody.
        commit: its commit index; an older one is as good, since the leader tells it again.
    """

    def __cinit__(self, term_t term=0, node_id_t vote=0, index_t commit=0):
        self.term = term
        self.vote = vote
        self.commit = commit

    def __eq__(self, other):
        if not isinstance(other, HardState):
            return NotImplemented
        cdef HardState that = <HardState> other
        return self.term == that.term and self.vote == that.vote and self.commit == that.commit

    def __hash__(self):
        return hash((self.term, self.vote, self.commit))

    def __repr__(self):
        return f"HardState(term={self.term}, vote={self.vote}, commit={self.commit})"

    def __reduce__(self):
        return HardState, (self.term, self.vote, self.commit)


cdef tuple sorted_ids(object ids, str name):
    cdef node_id_t before = 0
    cdef node_id_t node_id
    cdef tuple out = tuple(sorted(ids))
    for node_id in out:
        if node_id == before:
            raise ValueError(f"{name} {list(out)!r}: each id must be above 0 and appear once")
        before = node_id
    return out


@cython.final
cdef class ConfState:
    """A configuration (thesis 4.1 to 4.3; etcd/raft's ConfState). Each field is a tuple of node ids, sorted ascending.

    ``voters_outgoing`` is empty unless the configuration is joint; ``learners_next`` are outgoing voters that become
    learners when it is left; ``auto_leave``: the leader leaves it without being told. Any iterables of ids will do;
    ValueError for an id that is 0 or named twice in one of them. Whether they fit together is not looked at here.
    """

    def __cinit__(self, voters=(), voters_outgoing=(), learners=(), learners_next=(), bint auto_leave=False):
        self.voters = sorted_ids(voters, "voters")
        self.voters_outgoing = sorted_ids(voters_outgoing, "voters_outgoing")
        self.learners = sorted_ids(learners, "learners")
        self.learners_next = sorted_ids(learners_next, "learners_next")
        self.auto_leave = auto_leave

    cdef tuple _fields(self):
        return self.voters, self.voters_outgoing, self.learners, self.learners_next, self.auto_leave

    def __eq__(self, other):
        if not isinstance(other, ConfState):
            return NotImplemented
        return self._fields() == (<ConfState> other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (f"ConfState(voters={self.voters}, voters_outgoing={self.voters_outgoing}, learners={self.learners}, "
                f"learners_next={self.learners_next}, auto_leave={self.auto_leave})")

    def __reduce__(self):
        return ConfState, self._fields()


cdef ConfState EMPTY_CONF_STATE = ConfState()


@cython.final
cdef class Snapshot:
    """What the core knows of a snapshot: of the state machine at ``index``, whose entry had ``term`` (paper 7).

    ``conf_state`` is the configuration in force there and ``conf_index`` the index of the entry that it comes from (0:
    the first configuration); ``time_ms`` is the log time of the entry at ``index``, in milliseconds (0: unknown). The
    state machine's own bytes are no part of it: they never pass through the core or a message, so that a driver can
    move them as files (docs/design.md, "Reads, roles and options of the core").
    """

    def __cinit__(self, index_t index=0, term_t term=0, ConfState conf_state=None, index_t conf_index=0,
                  uint64_t time_ms=0):
        self.index = index
        self.term = term
        self.conf_state = EMPTY_CONF_STATE if conf_state is None else conf_state
        self.conf_index = conf_index
        self.time_ms = time_ms

    cdef tuple _fields(self):
        return self.index, self.term, self.conf_state, self.conf_index, self.time_ms

    def __eq__(self, other):
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._fields() == (<Snapshot> other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (f"Snapshot(index={self.index}, term={self.term}, conf_state={self.conf_state}, "
                f"conf_index={self.conf_index}, time_ms={self.time_ms})")

    def __reduce__(self):
        return Snapshot, self._fields()


@cython.no_gc  # what it refers to never refers back: nothing for the collector to find
@cython.freelist(64)
@cython.final
cdef class Message:
    """One message between nodes, or between a node and its own storage; fields that do not apply are 0 or None.

    What each field means by type is in docs/wire-format.md, what each type says in docs/messages.md. Mutable, therefore
    not hashable. Raises ValueError for a type that does not exist, TypeError or OverflowError for a field of another
    kind.

    Attributes:
        type: a MessageType's number.
        to, from_: node ids, or LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD.
        term: the sender's term, 0 for a local message or a request; in an election the term that is stood for.
        log_term, index: (term, index) of the entry that the message is about: the one before the entries, the last of a
            candidate's log, the one acknowledged or refused.
        commit: the sender's commit index, as far as it concerns the receiver.
        vote: with a MsgStorageAppend, the vote to be stored.
        reject: the answer is no.
        reject_hint: where the follower's log may still agree with the leader's (paper 5.3).
        conf_index: of the leader's progress for the receiver; answers carry it back.
        must_sync: with a MsgStorageAppend, whether the write must be durable before its responses are delivered.
        entries: Entries to be appended, proposed or applied; None for none.
        snapshot: a Snapshot to be sent or stored; None for none.
        context: bytes that the answer carries back, or that say more of a request; None for none.
        responses: list of Messages to be delivered AFTER this one's work is done; None for none.
    """

    def __init__(self, int type, node_id_t to=0, node_id_t from_=0, term_t term=0, term_t log_term=0,
                 index_t index=0, index_t commit=0, node_id_t vote=0, bint reject=False, index_t reject_hint=0,
                 index_t conf_index=0, bint must_sync=False, Entries entries=None, Snapshot snapshot=None,
                 bytes context=None, list responses=None):
        if not 0 <= type < MESSAGE_TYPES:
            raise ValueError(f"type must be a MessageType (0 to {<int> MESSAGE_TYPES - 1}), got {type}")
        self.type = type
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.commit = commit
        self.vote = vote
        self.reject = reject
        self.reject_hint = reject_hint
        self.conf_index = conf_index
        self.must_sync = must_sync
        self.entries = entries
        self.snapshot = snapshot
        self.context = context
        self.responses = responses

    cdef tuple _fields(self):
        return (self.type, self.to, self.from_, self.term, self.log_term, self.index, self.commit, self.vote,
                self.reject, self.reject_hint, self.conf_index, self.must_sync, self.entries, self.snapshot,
                self.context, self.responses)

    def __eq__(self, other):
        if not isinstance(other, Message):
            return NotImplemented
        return self._fields() == (<Message> other)._fields()

    __hash__ = None  # mutable

    def __repr__(self):
        parts = [
            f"{name}={value!r}"
            for name, value in zip(FIELD_NAMES, self._fields()[1:], strict=True)
            if value is not None and (value or isinstance(value, (bytes, list)))
        ]
        return f"Message({MessageType(self.type).name}{''.join(', ' + part for part in parts)})"

    def __reduce__(self):
        return Message, self._fields()


cdef tuple FIELD_NAMES = (
    "to", "from_", "term", "log_term", "index", "commit", "vote", "reject", "reject_hint", "conf_index", "must_sync",
    "entries", "snapshot", "context", "responses",
)


cdef Message allocate_message():
    return Message.__new__(Message)


cdef int queue_grow(Queue* queue, size_t extra) except -1:
    if not make_room(<void**> &queue.items, &queue.head, &queue.capacity, queue.count, extra, sizeof(PyObject*)):
        raise MemoryError("a message that waits")
    return 0


cdef list queue_listed(const Queue* queue):
    cdef list out = []
    cdef size_t i
    for i in range(queue.count):
        out.append(<Message> queue.items[queue.head + i])
    return out


cdef list queue_taken(Queue* queue):
    cdef list out = queue_listed(queue)
    while queue.count:
        pop(queue)
    return out


cdef int queue_copy(Queue* copy, const Queue* source) except -1:
    cdef size_t i
    for i in range(source.count):
        push(copy, <Message> source.items[source.head + i])
    return 0


cdef int queue_free(Queue* queue) except -1:
    while queue.count:
        pop(queue)
    free(queue.items)
    queue.items = NULL
    queue.capacity = 0
    return 0
