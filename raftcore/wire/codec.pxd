# Datagrams and frames <-> messages: what Python calls for it.
# The parts: crc (checksum), frame (one message), header, datagram (building); Python has all their names here.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.crc cimport crc32c_update
from raftcore.values.message cimport Message
from raftcore.wire.datagram cimport DatagramBuilder
from raftcore.wire.frame cimport (
    FRAME_HEADER_SIZE, FRAME_MESSAGE, FRAME_TRANSPORT, BodyPlan, check_frame_header, decode_body, decode_frame,
    end_of_frame, open_frame, plan_body, write_body,
)
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE, Header, datagram_from, datagram_to
