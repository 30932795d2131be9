# The body of a message frame: presence bitmap, flags, the fields that are not 0, context, snapshot, entries.
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from raftcore.message cimport Message
from raftcore.types cimport node_id_t

cdef enum:
    BODY_FIELDS = 9          # u64 fields, in the order of the bitmap's bits
    BODY_HEAD_SIZE = 4       # bitmap, flags, reserved
    BODY_FIXED_MAX = 76      # head and every field
    SNAPSHOT_HEAD_SIZE = 56  # of a snapshot, before the ids

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
# The body of one of the usual messages (an append, a heartbeat, an answer) in one pass, if it surely fits `room` bytes
# and leaves out both ids; its size. 0, and nothing that counts is written, for any other: then plan_body decides.
cdef Py_ssize_t write_usual(Message message, node_id_t from_, node_id_t to, uint8_t* at, Py_ssize_t room) noexcept
# The message in the body of one frame, or DecodeError. `spare` (or None) is filled and returned if nobody else has it.
cdef Message decode_body(int message_type, const uint8_t* body, Py_ssize_t size, Message spare)
