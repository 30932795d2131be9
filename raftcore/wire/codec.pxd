# Datagrams and frames <-> messages: what Python calls for it.
# The parts: crc (checksum), body (one message), frame, datagram (header, building); Python has all their names here.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.crc cimport crc32c_update
from raftcore.values.message cimport Message
from raftcore.wire.body cimport BodyPlan, decode_body, plan_body, write_body
from raftcore.wire.datagram cimport DatagramBuilder, Header
from raftcore.wire.frame cimport (
    DATAGRAM_HEADER_SIZE, FRAME_HEADER_SIZE, FRAME_MESSAGE, FRAME_TRANSPORT, check_frame_header, datagram_from,
    datagram_to, decode_frame, end_of_frame, open_frame,
)
