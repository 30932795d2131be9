"""Frames of a datagram, and the body of one that carries a message, written and read.

What a decoded message keeps, besides the types of its fields (and what the encoder refuses to break):
  1. its type travels: local kinds (MsgHup, MsgBeat, MsgStorage*, ...) neither leave nor enter.
  2. term is at least 1, except that MsgProp and MsgReadIndex have none and MsgTransferLeader may have none.
  3. terms and indexes are below 2**63, so that adding to them cannot wrap; no id is a local storage thread's.
  4. MsgSnap has a snapshot (index, term, at least one voter), no other type has.
  5. only MsgApp and MsgProp have entries; MsgApp's follow its index, MsgProp's (there are some) start at 1, term 1.
Each message has exactly one encoding for a given datagram header, so a decoded body encodes to the same bytes.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from raftcore.base.bytes cimport load16, load32, load64, store16, store32, store64
from raftcore.base.types cimport (
    APPLY_THREAD, LARGEST_NUMBER, MESSAGE_TYPES, NETWORK_TYPES, TERM_OPTIONAL_TYPES, TERMLESS_TYPES, MsgApp, MsgProp,
    MsgSnap, is_one_of, node_id_t,
)
from raftcore.values.message cimport (
    ConfState, Entries, Message, Snapshot, entries_follow_index, new_message, parse_entries, recycle,
    uninitialised_message,
)

from raftcore.base.errors import DecodeError
from raftcore.base.types import MessageType

cdef tuple FIELD_NAMES = ("term", "log_term", "index", "commit", "vote", "reject_hint", "conf_index", "from_", "to")


cdef inline bint is_remote(int message_type) noexcept nogil:
    return 0 <= message_type < MESSAGE_TYPES and is_one_of(message_type, NETWORK_TYPES)


cdef str name_of(int message_type):
    if 0 <= message_type < MESSAGE_TYPES:
        return MessageType(message_type).name
    return f"message type {message_type}"


# What is wrong with a message whose type and fields are allowed one by one (rules 2, 4 and 5), or None.
cdef str shape_fault(Message message):
    cdef int kind = message.type
    cdef Entries entries = message.entries
    if message.term == 0:
        if not is_one_of(kind, TERMLESS_TYPES | TERM_OPTIONAL_TYPES):
            return "term is 0, at least 1 expected"
    elif is_one_of(kind, TERMLESS_TYPES):
        return f"term is {message.term}, 0 expected"
    if message.snapshot is not None:
        if kind != MsgSnap:
            return "only a MsgSnap carries a snapshot"
        return snapshot_fault(message.snapshot, entries)
    if kind == MsgSnap:
        return "a snapshot is expected, there is none"
    if entries is None:
        return "at least one entry is expected, there is none" if kind == MsgProp else None
    if kind == MsgApp:
        if not entries_follow_index(message):
            return f"entries start at {entries.first}, {message.index + 1} follows the message's index"
    elif kind == MsgProp:
        if entries.first != 1 or entries.last_term != 1:
            return f"proposed entries start at {entries.first} with terms to {entries.last_term}, 1 and 1 expected"
    else:
        return "only MsgApp and MsgProp carry entries"
    return None


cdef str snapshot_fault(Snapshot snapshot, Entries entries):
    if entries is not None:
        return "only MsgApp and MsgProp carry entries"
    for name, number in (("index", snapshot.index), ("term", snapshot.term)):
        if not 1 <= number <= LARGEST_NUMBER:
            return f"the snapshot's {name} is {number}, 1 to {LARGEST_NUMBER} allowed"
    if snapshot.conf_index > snapshot.index:
        return f"the snapshot's conf_index {snapshot.conf_index} is above its index {snapshot.index}"
    if not snapshot.conf_state.voters:
        return "the snapshot's configuration has no voters, at least one expected"
    return None


# What is wrong with the value of a field (rule 3), or None.
cdef str value_fault(int field, uint64_t value):
    if ID_FIELDS >> field & 1:
        if value >= APPLY_THREAD:
            return f"{FIELD_NAMES[field]} is {value}, an id of the node's own storage threads"
    elif value > LARGEST_NUMBER:
        return f"{FIELD_NAMES[field]} is {value}, at most {LARGEST_NUMBER} allowed"
    return None


cdef inline bint value_allowed(int field, uint64_t value) noexcept nogil:
    return value <= LARGEST_NUMBER or (ID_FIELDS >> field & 1 and value < APPLY_THREAD)


cdef inline Py_ssize_t ids_in(ConfState state) except -1:
    return len(state.voters) + len(state.voters_outgoing) + len(state.learners) + len(state.learners_next)


cdef int plan_body(Message message, node_id_t from_, node_id_t to, BodyPlan* plan) except -1:
    cdef int i
    cdef str fault
    cdef Py_ssize_t size = BODY_HEAD_SIZE
    if not is_remote(message.type):
        raise ValueError(f"a {name_of(message.type)} is local and cannot be sent")
    if message.must_sync or message.responses is not None:
        raise ValueError(f"{name_of(message.type)}: must_sync and responses are local and cannot be sent")
    if not shape_is_common(message):
        fault = shape_fault(message)
        if fault is not None:
            raise ValueError(f"{name_of(message.type)}: {fault}")
    plan.values[TERM] = message.term
    plan.values[LOG_TERM] = message.log_term
    plan.values[INDEX] = message.index
    plan.values[COMMIT] = message.commit
    plan.values[VOTE] = message.vote
    plan.values[REJECT_HINT] = message.reject_hint
    plan.values[CONF_INDEX] = message.conf_index
    plan.values[FROM] = 0 if message.from_ == from_ else message.from_
    plan.values[TO] = 0 if message.to == to else message.to
    plan.present = 0
    for i in range(BODY_FIELDS):
        if plan.values[i]:
            if not value_allowed(i, plan.values[i]):
                raise ValueError(f"{name_of(message.type)}: {value_fault(i, plan.values[i])}")
            plan.present |= 1 << i
            size += 8
    plan.flags = REJECT if message.reject else 0
    if message.context is not None:
        plan.flags |= HAS_CONTEXT
        size += 4 + PyBytes_GET_SIZE(message.context)
    if message.snapshot is not None:
        plan.flags |= HAS_SNAPSHOT
        size += SNAPSHOT_HEAD_SIZE + 8 * ids_in(message.snapshot.conf_state)
    if message.entries is not None:
        plan.flags |= HAS_ENTRIES
        size += PyBytes_GET_SIZE(message.entries.data)
    if size > <Py_ssize_t> UINT32_MAX:  # then no length within it is larger either
        raise ValueError(f"{name_of(message.type)}: a body of {size} bytes, at most {UINT32_MAX} allowed")
    plan.size = size
    return 0


cdef inline uint8_t* write_bytes(uint8_t* at, bytes data) noexcept:
    memcpy(at, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return at + PyBytes_GET_SIZE(data)


cdef void write_body(Message message, const BodyPlan* plan, uint8_t* at) noexcept:
    cdef int i
    store16(at, plan.present)
    at[2] = plan.flags
    at[3] = 0
    at += BODY_HEAD_SIZE
    for i in range(BODY_FIELDS):
        if plan.values[i]:
            store64(at, plan.values[i])
            at += 8
    if plan.flags & HAS_CONTEXT:
        store32(at, <uint32_t> PyBytes_GET_SIZE(message.context))
        at = write_bytes(at + 4, message.context)
    if plan.flags & HAS_SNAPSHOT:
        at = write_snapshot(message.snapshot, at)
    if plan.flags & HAS_ENTRIES:
        write_bytes(at, message.entries.data)


cdef uint8_t* write_snapshot(Snapshot snapshot, uint8_t* at) noexcept:
    cdef ConfState state = snapshot.conf_state
    cdef tuple ids
    cdef node_id_t node_id
    store64(at, snapshot.index)
    store64(at + 8, snapshot.term)
    store64(at + 16, snapshot.conf_index)
    store64(at + 24, snapshot.time_ms)
    store32(at + 32, <uint32_t> len(state.voters))
    store32(at + 36, <uint32_t> len(state.voters_outgoing))
    store32(at + 40, <uint32_t> len(state.learners))
    store32(at + 44, <uint32_t> len(state.learners_next))
    store32(at + 48, state.auto_leave)
    at += SNAPSHOT_HEAD_SIZE
    for ids in (state.voters, state.voters_outgoing, state.learners, state.learners_next):
        for node_id in ids:
            store64(at, node_id)
            at += 8
    return at


# Reads the field at `at` into `out`, 0 when it is not present; returns where the next field begins. Sets `malformed`
# when the field is cut off, is 0, or is too large.
cdef inline const uint8_t* get_field(const uint8_t* at, const uint8_t* end, int field, uint32_t present, uint64_t* out,
                                     bint* malformed) noexcept nogil:
    out[0] = 0
    if not present >> field & 1:
        return at
    if end - at < 8:
        malformed[0] = True
        return at
    out[0] = load64(at)
    if out[0] == 0 or out[0] >> 63:
        malformed[0] = True
    return at + 8


# The fast path: a message of a common type and with common fields only, read in one pass. False for any other message,
# and for any that may be malformed: decode_body_general decides about those.
cdef bint decode_body_fast(Message out, int message_type, const uint8_t* body, Py_ssize_t size) except -1:
    cdef const uint8_t* at = body + BODY_HEAD_SIZE
    cdef const uint8_t* end = body + size
    cdef uint32_t present, flags
    cdef bint malformed = False
    if not is_one_of(message_type, COMMON_TYPES) or size < BODY_HEAD_SIZE:
        return False
    present = load16(body)
    flags = body[2]
    if present & ~<uint32_t> COMMON_FIELDS or flags & ~<uint32_t> (REJECT | HAS_ENTRIES) or body[3]:
        return False
    at = get_field(at, end, TERM, present, &out.term, &malformed)
    at = get_field(at, end, LOG_TERM, present, &out.log_term, &malformed)
    at = get_field(at, end, INDEX, present, &out.index, &malformed)
    at = get_field(at, end, COMMIT, present, &out.commit, &malformed)
    at = get_field(at, end, REJECT_HINT, present, &out.reject_hint, &malformed)
    at = get_field(at, end, CONF_INDEX, present, &out.conf_index, &malformed)
    if malformed or ((at == end) == (flags & HAS_ENTRIES != 0)):
        return False
    out.type = message_type
    out.to = 0
    out.from_ = 0
    out.vote = 0
    out.reject = flags & REJECT
    if flags & HAS_ENTRIES:
        out.entries = parse_entries(at, end - at)
    return shape_is_common(out)


cdef Message decode_body(int message_type, const uint8_t* body, Py_ssize_t size):
    cdef Message out
    if is_remote(message_type):
        out = uninitialised_message()
        out.must_sync = False
        if decode_body_fast(out, message_type, body, size):
            return out
        recycle(out)
    return decode_body_general(message_type, body, size)


cdef Message decode_body_general(int message_type, const uint8_t* body, Py_ssize_t size):
    cdef uint64_t values[BODY_FIELDS]
    cdef Py_ssize_t at = BODY_HEAD_SIZE
    cdef uint32_t present, flags, length
    cdef int i = 0
    cdef Message out
    if not is_remote(message_type):
        raise DecodeError(f"a {name_of(message_type)} does not travel between nodes")
    if size < BODY_HEAD_SIZE:
        raise DecodeError(f"{size} bytes where a message body needs {<int> BODY_HEAD_SIZE}")
    present = load16(body)
    flags = body[2]
    if present & ~<uint32_t> KNOWN_FIELDS or flags & ~<uint32_t> KNOWN_FLAGS or body[3]:
        raise DecodeError(f"presence {present:#06x}, flags {flags:#04x}, reserved {body[3]}: at most "
                          f"{<int> KNOWN_FIELDS:#06x}, {<int> KNOWN_FLAGS:#04x} and 0 allowed")
    memset(values, 0, sizeof(values))
    while present:
        if present & 1:
            if size - at < 8:
                raise DecodeError(f"{size} bytes of body end within {FIELD_NAMES[i]}")
            values[i] = load64(body + at)
            at += 8
            if values[i] == 0:
                raise DecodeError(f"{FIELD_NAMES[i]} is present but 0")
            if not value_allowed(i, values[i]):
                raise DecodeError(value_fault(i, values[i]))
        present >>= 1
        i += 1
    out = new_message(message_type, 0)
    out.to = values[TO]
    out.from_ = values[FROM]
    out.term = values[TERM]
    out.log_term = values[LOG_TERM]
    out.index = values[INDEX]
    out.commit = values[COMMIT]
    out.vote = values[VOTE]
    out.reject_hint = values[REJECT_HINT]
    out.conf_index = values[CONF_INDEX]
    out.reject = flags & REJECT
    if flags & HAS_CONTEXT:
        if size - at < 4:
            raise DecodeError(f"{size} bytes of body end within the context's length")
        length = load32(body + at)
        at += 4
        if length > size - at:
            raise DecodeError(f"a context of {length} bytes, but only {size - at} are left")
        out.context = PyBytes_FromStringAndSize(<const char*> body + at, length)
        at += length
    if flags & HAS_SNAPSHOT:
        out.snapshot = decode_snapshot(body, size, &at)
    if flags & HAS_ENTRIES:
        out.entries = parse_entries(body + at, size - at)
        at = size
    if at != size:
        raise DecodeError(f"{size - at} bytes are left over after the message")
    if not shape_is_common(out):
        fault = shape_fault(out)
        if fault is not None:
            raise DecodeError(f"{name_of(message_type)}: {fault}")
    return out


cdef Snapshot decode_snapshot(const uint8_t* body, Py_ssize_t size, Py_ssize_t* offset):
    cdef Py_ssize_t at = offset[0]
    cdef const uint8_t* head = body + at
    cdef uint32_t counts[4]
    cdef uint64_t needed = 0
    cdef uint32_t flags
    cdef int i
    cdef list parts = []
    if size - at < SNAPSHOT_HEAD_SIZE:
        raise DecodeError(f"{size - at} bytes where a snapshot needs {<int> SNAPSHOT_HEAD_SIZE}")
    flags = load32(head + 48)
    if flags > 1:
        raise DecodeError(f"flags of a configuration are {flags:#x}, at most 0x1 allowed")
    for i in range(4):
        counts[i] = load32(head + 32 + 4 * i)
        needed += 8 * <uint64_t> counts[i]
    at += SNAPSHOT_HEAD_SIZE
    if needed > <uint64_t> (size - at):
        raise DecodeError(f"a snapshot's ids take {needed} bytes, but only {size - at} are left")
    for i in range(4):
        parts.append(decode_ids(body + at, counts[i]))
        at += 8 * <Py_ssize_t> counts[i]
    offset[0] = at
    return Snapshot(load64(head), load64(head + 8), ConfState(parts[0], parts[1], parts[2], parts[3], flags),
                    load64(head + 16), load64(head + 24))


# Ids ascend strictly: sorted, no repeats, none 0. The caller has checked that 8 * count bytes are there.
cdef tuple decode_ids(const uint8_t* at, uint32_t count):
    cdef list out = []
    cdef node_id_t before = 0
    cdef node_id_t node_id
    cdef uint32_t i
    for i in range(count):
        node_id = load64(at + 8 * <Py_ssize_t> i)
        if node_id <= before or node_id >= APPLY_THREAD:
            raise DecodeError(f"node id {node_id} after {before}: ids must ascend and stay below {APPLY_THREAD}")
        before = node_id
        out.append(node_id)
    return tuple(out)


# --- The frame -----------------------------------------------------------------------------------------------------


cdef Py_ssize_t open_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset, uint64_t* group,
                           int* kind) except -1:
    cdef const uint8_t* at = data + offset
    cdef uint32_t length
    if size - offset < FRAME_HEADER_SIZE:
        raise DecodeError(f"{size - offset} bytes at {offset} where a frame header needs {<int> FRAME_HEADER_SIZE}")
    group[0] = load64(at)
    kind[0] = at[8]
    length = load32(at + 12)
    if length > size - offset - FRAME_HEADER_SIZE:
        raise DecodeError(f"a frame body of {length} bytes, but only {size - offset - FRAME_HEADER_SIZE} are left")
    return length


cdef int check_frame_header(const uint8_t* at) except -1:
    if at[9] or load16(at + 10):
        raise DecodeError(f"frame flags {at[9]:#04x} and reserved {load16(at + 10)}, 0 and 0 expected")
    if at[8] < FRAME_TRANSPORT and not FRAME_MESSAGE <= at[8] < FRAME_MESSAGE + MESSAGE_TYPES:
        raise DecodeError(f"frame kind {at[8]}, {<int> FRAME_MESSAGE} to {FRAME_MESSAGE + MESSAGE_TYPES - 1} and from "
                          f"{<int> FRAME_TRANSPORT} on known")
    return 0


cdef Message decode_frame_general(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind):
    cdef Py_ssize_t start = offset[0]
    cdef Py_ssize_t length
    offset[0] = size
    length = open_frame(data, size, start, group, kind)
    offset[0] = start + FRAME_HEADER_SIZE + length
    if not FRAME_MESSAGE <= kind[0] < FRAME_MESSAGE + MESSAGE_TYPES or load32(data + start + 8) >> 8:
        check_frame_header(data + start)
        if kind[0] >= FRAME_TRANSPORT:
            return None
    return decode_body(kind[0] - FRAME_MESSAGE, data + start + FRAME_HEADER_SIZE, length)
