# Datagrams and frames <-> messages: what Python calls for it.
# The parts: crc (checksum), body (one message), frame, header, datagram (building); Python has all their names here.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.crc cimport crc32c_update
from raftcore.values.message cimport Message
from raftcore.wire.body cimport BodyPlan, decode_body, plan_body, write_body
from raftcore.wire.datagram cimport DatagramBuilder
from raftcore.wire.frame cimport (
    FRAME_HEADER_SIZE, FRAME_MESSAGE, FRAME_TRANSPORT, check_frame_header, decode_frame, end_of_frame, open_frame,
)
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE, Header, datagram_from, datagram_to
