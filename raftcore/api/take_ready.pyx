"""What a core wants done, put into an outbox; and the answers to it: the driver's form of Ready, without the records.

Two things differ from the Ready form. A change of the commit index alone, while no write is under way, makes no
MsgStorageAppend of its own: nothing has to be written for it, and nothing earlier has to be waited for, so the messages
that would wait for that write leave at once; the next append carries the commit index. And entries go out in the pieces
that they came in (raftcore/log/pieces.pyx), each with a MsgStorageAppend of its own; what hangs on the write of all of
them hangs on the last.
"""

from raftcore.base.errors import ConfigError

from cpython.object cimport PyObject

from raftcore.algorithm.state cimport Raft
from raftcore.algorithm.step cimport applied_to, step
from raftcore.api.outbox cimport Outbox
from raftcore.base.lists cimport put_into, size_of
from raftcore.base.types cimport APPEND_THREAD, MsgStorageAppend, MsgStorageAppendResp, StateQuarantined
from raftcore.check.invariants cimport CHECK_EACH_STEP, check_raft
from raftcore.log.log cimport (
    RaftLog, has_next_committed, has_next_or_in_progress_unstable, has_next_unstable, max_appliable,
)
from raftcore.log.log_entries cimport in_memory
from raftcore.log.slices cimport applying_size
from raftcore.log.term_runs cimport runs_last
from raftcore.values.message cimport (
    Entries, Message, Queue, Snapshot, front, new_message, pop, push, queue_grow, recycle,
)


cdef bint collect(Raft r, Reported* reported, Writes* writes, Outbox out) except -1:
    """Puts all outstanding work into `out`. Was there any?

    What can fail comes first: after a failure messages may be sent again, which is harmless, but no entry is lost.
    """
    if not has_ready(r, reported, False):
        return False
    collect_all(r, reported, writes, out)
    return True


cdef int collect_all(Raft r, Reported* reported, Writes* writes, Outbox out) except -1:
    cdef RaftLog log = r.log
    cdef Entries entries = None
    cdef Entries committed = None
    cdef list behind = None
    cdef list all_committed = None
    cdef Snapshot snapshot = None
    cdef index_t accepted = 0
    cdef uint64_t size = 0
    cdef size_t at_once = 0
    if r.state == StateQuarantined:
        mark_reported(r, reported)
        return 0
    if has_next_unstable(log):
        entries = log.unstable_piece(log.unstable.offset_in_progress)
        if entries.first + entries.count <= log._last:
            behind = pieces_to_write(log, entries)
    if has_next_committed(log, False):
        committed = first_to_apply(log)
        if committed is not None:
            accepted = committed.first + committed.count - 1
            size = applying_size(committed)
            if accepted < max_appliable(log, False) and in_memory(log, accepted + 1):
                all_committed = pieces_to_apply(log, committed, &accepted, &size)
    if log.unstable.snapshot is not None:
        snapshot = log.next_unstable_snapshot()
    if r.messages.count:
        put_all(&r.messages, out)
    if size_of(<PyObject*> r.read_states):
        out.read_states.extend(r.read_states)
    if entries is not None or snapshot is not None or r.term != reported.term or r.vote != reported.vote:
        put_append(r, reported, writes, entries, behind, snapshot, out)
    elif r.after_append.count:
        if writes.begun == writes.done:
            at_once = r.after_append.count
        else:
            put_append(r, reported, writes, None, None, None, out)
    if committed is not None:
        if all_committed is None:
            put_into(out.applies, committed)
        else:
            out.applies.extend(all_committed)
    accept_up_to(r, reported, accepted, size, False)
    while at_once:  # last of all: what these steps change is collected the next time
        at_once -= 1
        respond(r, pop(&r.after_append), out)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef int put_all(Queue* messages, Outbox out) except -1:
    cdef Message m
    while messages.count:
        m = front(messages)
        out.put(m)
        pop(messages)
        recycle(m)
    return 0


# The pieces behind this one, up to the log's end.
cdef list pieces_to_write(RaftLog log, Entries piece):
    cdef list pieces = []
    while piece.first + piece.count <= log._last:
        piece = log.unstable_piece(piece.first + piece.count)
        pieces.append(piece)
    return pieces


cdef inline Entries first_to_apply(RaftLog log):
    if in_memory(log, log.applying + 1):
        return log.committed_piece(log.applying + 1, 0)
    return log.next_committed(False)


# `first`, up to the index `last`, and the pieces behind it, as far as they may be applied and fit; `last` and `size`,
# what they count for, move on.
cdef list pieces_to_apply(RaftLog log, Entries first, index_t* last, uint64_t* size):
    cdef list pieces = [first]
    cdef Entries piece
    while last[0] < max_appliable(log, False):
        piece = log.committed_piece(last[0] + 1, size[0])
        if piece is None:
            break
        pieces.append(piece)
        last[0] += piece.count
        size[0] += applying_size(piece)
    return pieces


# What can fail comes first: what hangs on these writes goes with the number of the last of them, so the next attempt
# must find neither number nor message used.
cdef int put_append(Raft r, const Reported* reported, Writes* writes, Entries entries, list behind, Snapshot snapshot,
                    Outbox out) except -1:
    cdef uint64_t last = writes.begun + 1 + (0 if behind is None else <uint64_t> size_of(<PyObject*> behind))
    cdef index_t committed = r.log.committed
    cdef index_t commit = committed if behind is None else min(committed, entries.first + entries.count - 1)
    cdef Message m = write_of(r, reported, writes.begun + 1, writes.commit, entries, snapshot, commit)
    cdef Message response = None
    if snapshot is not None or has_next_or_in_progress_unstable(r.log):
        response = append_response(r, snapshot)
    queue_grow(&r.waiting, r.after_append.count + 1)
    if behind is None:
        put_into(out.appends, m)
    else:
        out.appends.extend(writes_of(r, reported, m, commit, behind))
    writes.begun = last
    writes.commit = committed
    while r.after_append.count:
        wait(r, pop(&r.after_append), last)
    if response is not None:
        wait(r, response, last)  # after the leader's acknowledgement to itself, which reads terms of these entries
    return 0


# `first`, and the writes of the pieces behind its own. None of them says that entries are committed which come later.
cdef list writes_of(Raft r, const Reported* reported, Message first, index_t commit, list behind):
    cdef Py_ssize_t left = size_of(<PyObject*> behind)
    cdef list writes = [first]
    cdef index_t said
    cdef Entries piece
    for piece in behind:
        left -= 1
        said = commit
        commit = r.log.committed if left == 0 else min(r.log.committed, piece.first + piece.count - 1)
        writes.append(write_of(r, reported, first.index + <uint64_t> size_of(<PyObject*> writes), said, piece, None,
                               commit))
    return writes


# A write; what is written before it says that entries up to `said` are committed.
cdef Message write_of(Raft r, const Reported* reported, uint64_t number, index_t said, Entries entries,
                      Snapshot snapshot, index_t commit):
    cdef Message m = new_message(MsgStorageAppend, APPEND_THREAD)
    m.from_ = r.id
    m.entries = entries
    m.snapshot = snapshot
    m.must_sync = entries is not None or snapshot is not None or r.term != reported.term or r.vote != reported.vote
    if r.term != reported.term or r.vote != reported.vote or commit != said:
        m.term = r.term
        m.vote = r.vote
        m.commit = commit
    m.index = number
    return m


cdef Message append_response(Raft r, Snapshot snapshot):
    """Tells the core that everything up to here is durable.

    It carries this term, and (index, term) of the log's end. Entries that others replaced while they were being written
    are thereby not mistaken for these: in another term the confirmation is ignored, and within a term a log only grows,
    as long as it has one leader. Where it had two, conf_index tells: it is echoed, as in a follower's answers, and is
    Unstable.rewrites.
    """
    m = new_message(MsgStorageAppendResp, r.id)
    m.from_ = APPEND_THREAD
    m.term = r.term
    if has_next_or_in_progress_unstable(r.log):
        m.index = r.log._last
        m.log_term = runs_last(&r.log._terms).value
        m.conf_index = r.log.unstable.rewrites
    m.snapshot = snapshot
    return m


cdef inline int wait(Raft r, Message m, uint64_t write) except -1:
    m.write = write
    return push(&r.waiting, m)


cdef inline int respond(Raft r, Message m, Outbox out) except -1:
    if m.to != r.id:
        out.put(m)
    else:
        step(r, m)
    return recycle(m)


cdef int written(Raft r, Writes* writes, object appends, Outbox out) except -1:
    cdef Message append
    for append in appends:
        if append is None:
            raise TypeError("a Message expected, got None")
        write_done(r, writes, append, out)
    return 0


cdef int write_done(Raft r, Writes* writes, Message m, Outbox out) except -1:
    if m.type != MsgStorageAppend or m.index != writes.done + 1 or m.index > writes.begun:
        raise ConfigError(f"write {m.index} reported as done, but {writes.done + 1} of {writes.begun} is next: appends "
                          f"are written in order, each reported once")
    writes.done += 1
    while r.waiting.count and front(&r.waiting).write <= writes.done:
        respond(r, pop(&r.waiting), out)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef int applied(Raft r, Entries entries) except -1:
    applied_to(r, entries.first + entries.count - 1, entries)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0
