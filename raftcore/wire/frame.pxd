# Frames, of which a datagram has any number behind its header (header.pxd): (group, kind, body), and how one is written
# and read. The body of a frame with a message: presence bitmap, flags, the fields that are not 0, context, snapshot,
# entries. Every byte is in docs/wire-format.md. Foreign bytes enter here: a bounds check opens every read.
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from raftcore.base.bytes cimport load32, load64, store16, store32, store64
from raftcore.base.lists cimport at_bytes, size_of_bytes
from raftcore.base.types cimport COMMON_TYPES, MESSAGE_TYPES, MsgApp, is_one_of, node_id_t
from raftcore.values.message cimport Message, entries_follow_index

# --- The body of a message -----------------------------------------------------------------------------------------

cdef enum:
    BODY_FIELDS = 9          # u64 fields, in the order of the bitmap's bits
    BODY_HEAD_SIZE = 4       # bitmap, flags, reserved
    BODY_FIXED_MAX = 76      # head and every field
    SNAPSHOT_HEAD_SIZE = 52  # of a snapshot, before the ids
    RUN_SIZE = 16            # of one run of terms in a rejection's context: u64 last index, u64 term

# How a message will be written; made by plan_body, used up by write_body before anything else changes the message.
cdef struct BodyPlan:
    uint64_t values[BODY_FIELDS]
    uint16_t present
    uint8_t flags
    Py_ssize_t size          # bytes of the body

# Plans the body of a message that goes out under a datagram header from from_ to to: what equals those is left out.
# ValueError for a message that must not travel (a local kind, or one that no decoder would accept).
cdef int plan_body(Message message, node_id_t from_, node_id_t to, BodyPlan* plan) except -1
# Writes plan.size bytes at `at`.
cdef void write_body(Message message, const BodyPlan* plan, uint8_t* at) noexcept
# The message in the body of one frame, or DecodeError.
cdef Message decode_body(int message_type, const uint8_t* body, Py_ssize_t size)

cdef enum:
    TERM = 0
    LOG_TERM = 1
    INDEX = 2
    COMMIT = 3
    VOTE = 4
    REJECT_HINT = 5
    CONF_INDEX = 6
    FROM = 7
    TO = 8
    # Flags
    REJECT = 1
    HAS_CONTEXT = 2
    HAS_SNAPSHOT = 4
    HAS_ENTRIES = 8
    KNOWN_FLAGS = 15
    # Which bits of the bitmap are node ids (the others are terms and indexes)
    ID_FIELDS = (1 << VOTE) | (1 << FROM) | (1 << TO)
    KNOWN_FIELDS = (1 << BODY_FIELDS) - 1
    # The fields that messages of the common types have
    COMMON_FIELDS = (
        (1 << TERM) | (1 << LOG_TERM) | (1 << INDEX) | (1 << COMMIT) | (1 << REJECT_HINT) | (1 << CONF_INDEX)
    )


# Is it of the shape that nearly every message has? Then shape_fault would find nothing wrong with it.
cdef inline bint shape_is_common(Message message) noexcept:
    if message.term == 0 or message.snapshot is not None:
        return False
    if message.entries is None:
        return is_one_of(message.type, COMMON_TYPES)
    return message.type == MsgApp and entries_follow_index(message)


cdef inline uint8_t* put_field(uint8_t* at, int field, uint64_t value, uint32_t* present) noexcept nogil:
    if value == 0:
        return at
    present[0] |= <uint32_t> 1 << field
    store64(at, value)
    return at + 8


# The fast path: writes the body of a message of a common type (an append, a heartbeat, an answer) in one pass, if it
# surely fits `room` bytes and leaves out both ids. Returns the body's size. For any other message it returns 0, having
# written at most bytes that nobody reads: plan_body and write_body are for those.
cdef inline Py_ssize_t write_body_fast(Message message, node_id_t from_, node_id_t to, uint8_t* at,
                                       Py_ssize_t room) noexcept:
    cdef PyObject* data = NULL
    cdef Py_ssize_t size = 0
    cdef uint32_t present = 0
    cdef uint32_t flags = REJECT if message.reject else 0
    cdef uint8_t* begin = at
    if not shape_is_common(message) or message.context is not None or message.must_sync or message.vote:
        return 0
    if message.responses is not None or message.from_ != from_ or message.to != to:
        return 0
    if message.entries is not None:
        data = <PyObject*> message.entries.data
        size = size_of_bytes(data)
        flags |= HAS_ENTRIES
    if BODY_FIXED_MAX + size > room:  # it may still fit to the byte: plan_body decides
        return 0
    if (message.term | message.log_term | message.index | message.commit | message.reject_hint
            | message.conf_index) >> 63:  # one of them is too large
        return 0
    at = put_field(at + BODY_HEAD_SIZE, TERM, message.term, &present)
    at = put_field(at, LOG_TERM, message.log_term, &present)
    at = put_field(at, INDEX, message.index, &present)
    at = put_field(at, COMMIT, message.commit, &present)
    at = put_field(at, REJECT_HINT, message.reject_hint, &present)
    at = put_field(at, CONF_INDEX, message.conf_index, &present)
    store32(begin, present | flags << 16)
    if size:
        memcpy(at, at_bytes(data), size)
    return at - begin + size


# --- The frame -----------------------------------------------------------------------------------------------------

cdef enum:
    FRAME_HEADER_SIZE = 16
    FRAME_MESSAGE = 1      # first frame kind of the core: kind - FRAME_MESSAGE is the MessageType
    FRAME_TRANSPORT = 128  # kinds from here on belong to the transport; the core skips them
    LARGEST_KIND = 255

cdef inline void write_frame_header(uint8_t* at, uint64_t group, int kind, uint32_t body_length) noexcept nogil:
    store64(at, group)
    at[8] = <uint8_t> kind
    at[9] = 0
    store16(at + 10, 0)
    store32(at + 12, body_length)


# Looks at the frame at data + offset (offset < size), which is not decoded: where it ends, and its group. One that is
# cut short ends with the data, and is of group 0 when not even its header is there: whoever decodes it then refuses it.
cdef inline Py_ssize_t end_of_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset,
                                    uint64_t* group) noexcept nogil:
    cdef Py_ssize_t left = size - offset - FRAME_HEADER_SIZE
    cdef uint32_t body_length
    group[0] = 0
    if left < 0:
        return size
    group[0] = load64(data + offset)
    body_length = load32(data + offset + 12)
    return size if body_length > left else offset + FRAME_HEADER_SIZE + body_length

# Reads the frame header at offset and checks that its body is there. Returns the length of the body.
cdef Py_ssize_t open_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset, uint64_t* group,
                           int* kind) except -1
# DecodeError for flags, reserved bytes or a kind that no frame of this version has.
cdef int check_frame_header(const uint8_t* at) except -1

# The frame at data + offset[0] (offset[0] < size), and offset[0] moved past it. group and kind are set as soon as they
# are known. None for a frame of the transport (kind[0] >= FRAME_TRANSPORT). DecodeError when the frame's header is
# broken (offset[0] is then size: nothing after it can be found) or its contents are (offset[0] is past the frame: the
# caller may go on). from_ and to of the message are 0 unless it carries them: they are datagram_from and datagram_to.
cdef inline Message decode_frame(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind):
    cdef const uint8_t* at = data + offset[0]
    cdef Py_ssize_t left = size - offset[0] - FRAME_HEADER_SIZE
    # A message of the core with nothing wrong about its header: flags and reserved 0, and its body is there.
    if left < 0 or load32(at + 12) > left or not FRAME_MESSAGE <= load32(at + 8) < FRAME_MESSAGE + MESSAGE_TYPES:
        return decode_frame_general(data, size, offset, group, kind)
    group[0] = load64(at)
    kind[0] = at[8]
    offset[0] += FRAME_HEADER_SIZE + load32(at + 12)
    return decode_body(kind[0] - FRAME_MESSAGE, at + FRAME_HEADER_SIZE, load32(at + 12))


cdef Message decode_frame_general(const uint8_t* data, Py_ssize_t size, Py_ssize_t* offset, uint64_t* group, int* kind)
