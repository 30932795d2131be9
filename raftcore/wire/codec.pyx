"""Datagrams and frames to messages and back, byte by byte as docs/wire-format.md says."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.values.block cimport BLOCK_HEADER_SIZE, LENGTH_SIZE
from raftcore.values.message cimport Message
from raftcore.wire.frame cimport LARGEST_KIND, RUN_SIZE, BodyPlan, decode_body, plan_body, write_body
from raftcore.wire.header cimport CHECKSUM_SIZE

import raftcore.base.crc
import raftcore.wire.datagram
import raftcore.wire.header
from raftcore.base.errors import DecodeError

# All names of the format in one place. (A cimported class is no module attribute by itself.)
globals().update(
    DATAGRAM_HEADER_SIZE=DATAGRAM_HEADER_SIZE, CHECKSUM_SIZE=CHECKSUM_SIZE, FRAME_HEADER_SIZE=FRAME_HEADER_SIZE,
    FRAME_MESSAGE=FRAME_MESSAGE, FRAME_TRANSPORT=FRAME_TRANSPORT, RUN_SIZE=RUN_SIZE,
    BLOCK_HEADER_SIZE=BLOCK_HEADER_SIZE, LENGTH_SIZE=LENGTH_SIZE,
    DatagramBuilder=raftcore.wire.datagram.DatagramBuilder, Header=raftcore.wire.header.Header,
    crc32c=raftcore.base.crc.crc32c, max_command=raftcore.wire.datagram.max_command,
    parse_header=raftcore.wire.header.parse_header,
)


def frames(buffer, Py_ssize_t offset=DATAGRAM_HEADER_SIZE):
    """Yields (group, kind, memoryview of the body) for each frame in buffer from offset on.

    The bodies are not looked into. DecodeError when a frame header is broken; what came before it has been yielded.
    """
    cdef memoryview whole = memoryview(buffer).cast("B")
    cdef Buffer view = buffer_of(whole)
    cdef Py_ssize_t size = view.size
    cdef Py_ssize_t length
    cdef uint64_t group
    cdef int kind
    if not 0 <= offset <= size:
        raise DecodeError(f"offset {offset} is outside a datagram of {size} bytes")
    while offset < size:
        length = open_frame(view.at, size, offset, &group, &kind)
        check_frame_header(view.at + offset)
        offset += FRAME_HEADER_SIZE + length
        yield group, kind, whole[offset - length:offset]


def frame_at(buffer, Py_ssize_t offset):
    """(group, end) of the frame in buffer (bytes-like) at offset, which is not decoded: end is the offset behind it.

    For those who hand the frames of one datagram to the cores of several groups (RawNode.step_frame). A frame that is
    cut short ends with the buffer, and is of group 0 when its header is cut: the core that takes it counts the fault.
    ValueError when there is nothing at offset.
    """
    cdef Buffer view = buffer_of(buffer)
    cdef uint64_t group = 0
    cdef Py_ssize_t end
    if not 0 <= offset < view.size:
        raise ValueError(f"no frame at {offset} in {view.size} bytes")
    end = end_of_frame(view.at, view.size, offset, &group)
    return group, end


def messages(datagram):
    """Yields (group, Message), or (group, DecodeError) for a broken frame, for each frame of a whole datagram.

    For tools that look at traffic: frames of the transport are passed over, and from_ and to filled in as a receiver
    does. The header itself is parse_header's matter; DecodeError only when the datagram is too short to have one.
    """
    cdef Buffer view = buffer_of(datagram)
    cdef Py_ssize_t size = view.size
    cdef Py_ssize_t offset = DATAGRAM_HEADER_SIZE
    cdef uint64_t group = 0
    cdef int kind = 0
    cdef Message message
    if size < DATAGRAM_HEADER_SIZE:
        raise DecodeError(f"a datagram of {size} bytes, at least {<int> DATAGRAM_HEADER_SIZE} expected")
    while offset < size:
        try:
            message = decode_frame(view.at, size, &offset, &group, &kind)
        except DecodeError as error:
            yield group, error
            continue
        if message is None:
            continue
        message.from_ = message.from_ or datagram_from(view.at)
        message.to = message.to or datagram_to(view.at)
        yield group, message


def encode_message(Message message not None):
    """(kind, body) of the frame that carries message, with its from_ and to. ValueError when it must not travel."""
    cdef BodyPlan plan
    cdef bytes out
    plan_body(message, 0, 0, &plan)
    out = PyBytes_FromStringAndSize(NULL, plan.size)
    write_body(message, &plan, <uint8_t*> PyBytes_AS_STRING(out))
    return FRAME_MESSAGE + message.type, out


def decode_message(int kind, body):
    """The Message in the body (bytes-like) of a frame of this kind. DecodeError says what is wrong with it.

    from_ and to are 0 unless the body carries them: then they are the datagram's.
    """
    cdef Buffer view = buffer_of(body)
    if not FRAME_MESSAGE <= kind <= LARGEST_KIND:
        raise DecodeError(f"frame kind {kind} is no message")
    return decode_body(kind - FRAME_MESSAGE, view.at, view.size)
