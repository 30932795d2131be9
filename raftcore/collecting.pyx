"""What a core wants done, put into an outbox; and the answers to it: the driver's form of Ready, without the records.

One thing differs from the Ready form, and only in how it is said: a change of the commit index alone, while no write is
under way, becomes no MsgStorageAppend of its own. Nothing has to be written for it, nothing earlier has to be waited
for, so what hung on it is done at once; the next append carries the commit index.
"""

from raftcore.errors import ConfigError

from cpython.list cimport PyList_GET_SIZE

from raftcore.lists cimport empty
from raftcore.log cimport RaftLog
from raftcore.message cimport Entries, Message, Snapshot, new_message
from raftcore.node_invariants cimport CHECK_EACH_STEP, check_raft
from raftcore.outbox cimport Outbox
from raftcore.raft cimport applied_to, step
from raftcore.ready cimport Told, anything_new, append_response, remember
from raftcore.slices cimport applying_size
from raftcore.state cimport Raft
from raftcore.types cimport APPEND_THREAD, MsgStorageAppend


cdef bint collect_into(Raft r, Told* told, Writes* writes, Outbox out) except -1:
    """Puts everything outstanding into `out`; was there anything?

    What can fail comes first. Should it, messages may be sent again, which is harmless; entries are not lost.
    """
    cdef RaftLog log = r.log
    cdef Entries entries = None
    cdef Entries committed = None
    cdef Snapshot snapshot = None
    cdef list at_once = None
    if not anything_new(r, told, False):
        return False
    if log.has_next_unstable():
        entries = log.next_unstable()
    if log.has_next_committed(False):
        committed = log.next_committed(False)
    if log.unstable.snapshot is not None:
        snapshot = log.next_unstable_snapshot()
    if PyList_GET_SIZE(r.messages):
        put_all(r.messages, out)
    if PyList_GET_SIZE(r.read_states):
        out.read_states.extend(r.read_states)
        r.read_states = []
    r.reads.round_open = False  # its heartbeats are on their way: later reads need a round of their own
    if entries is not None or snapshot is not None or r.term != told.term or r.vote != told.vote:
        put_append(r, told, writes, entries, snapshot, out)
    elif PyList_GET_SIZE(r.after_append):
        if writes.begun == writes.done:
            at_once = r.after_append
            r.after_append = []
        else:
            put_append(r, told, writes, None, None, out)
    log.accept_unstable()
    if committed is not None:
        out.applies.append(committed)
        log.accept_applying(committed.first + committed.count - 1, applying_size(committed), False)
    remember(r, told)
    if at_once is not None:
        respond(r, at_once, out)  # last of all: what a step changes is for the next time to tell
    if CHECK_EACH_STEP:
        check_raft(r)
    return True


cdef int put_all(list messages, Outbox out) except -1:
    cdef Py_ssize_t i
    for i in range(PyList_GET_SIZE(messages)):
        out.put(<Message> messages[i])
    return empty(messages)


cdef int put_append(Raft r, const Told* told, Writes* writes, Entries entries, Snapshot snapshot,
                    Outbox out) except -1:
    cdef Message m = new_message(MsgStorageAppend, APPEND_THREAD)
    cdef list responses = r.after_append
    m.from_ = r.id
    m.entries = entries
    m.snapshot = snapshot
    m.must_sync = entries is not None or snapshot is not None or r.term != told.term or r.vote != told.vote
    if r.term != told.term or r.vote != told.vote or r.log.committed != writes.commit:
        m.term = r.term
        m.vote = r.vote
        m.commit = r.log.committed
    m.index = writes.begun + 1
    if snapshot is not None or r.log.has_next_or_in_progress_unstable():
        # After the leader's acknowledgement to itself, which reads terms of these entries.
        responses.append(append_response(r, snapshot))
    m.responses = responses
    out.appends.append(m)
    r.after_append = []
    writes.begun += 1
    writes.commit = r.log.committed
    return 0


cdef int respond(Raft r, list responses, Outbox out) except -1:
    cdef Message m
    cdef Py_ssize_t i
    for i in range(len(responses)):
        m = <Message?> responses[i]  # the list has been in other hands
        if m.to != r.id:
            out.put(m)
        else:
            step(r, m)
    return 0


cdef int take_written(Raft r, Writes* writes, Message m, Outbox out) except -1:
    cdef list responses = m.responses
    if m.type != MsgStorageAppend or m.index != writes.done + 1 or m.index > writes.begun:
        raise ConfigError(f"write {m.index} reported as done, but {writes.done + 1} of {writes.begun} is next: appends "
                          f"are written in order, each reported once")
    writes.done += 1
    if responses is not None:
        respond(r, responses, out)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0


cdef int take_applied(Raft r, Entries entries) except -1:
    applied_to(r, entries.first + entries.count - 1, entries)
    if CHECK_EACH_STEP:
        check_raft(r)
    return 0
