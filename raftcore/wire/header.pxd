# A datagram's header: what it holds, where, and how it is read and written. The table with a dump is in
# docs/wire-format.md; what the ids, stores and boots are for, decisions 4 and 5 of docs/design.md.
#
# Everything behind the checksum is the same in every datagram from one incarnation to another, and must stay so. A
# receiver knows a living peer by comparing these bytes with those that it expects (exchange.pyx, Exchange.known); a
# datagram that differs in one of them goes the long way, through the gate. A field that varies from datagram to
# datagram would send all traffic there: it belongs into a frame.
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.bytes cimport load64, store32, store64
from raftcore.base.crc cimport crc32c_update
from raftcore.base.types cimport node_id_t

cdef enum:
    DATAGRAM_HEADER_SIZE = 64
    CHECKSUM_SIZE = 4
    DATAGRAM_VERSION = 1

# Offsets of the fields: the first four are 4, 1, 1 and 2 bytes, the others 8 each.
cdef enum:
    AT_CHECKSUM = 0        # CRC32C over everything behind it, frames included
    AT_VERSION = 4         # DATAGRAM_VERSION; looked at first, as another version may checksum differently
    AT_FLAGS = 5           # 0
    AT_RESERVED = 6        # 0
    AT_CLUSTER_ID = 8
    AT_FROM = 16
    AT_TO = 24
    AT_FROM_STORE = 32
    AT_FROM_BOOT = 40
    AT_TO_STORE = 48
    AT_TO_BOOT = 56

cdef class Header:
    # What a datagram says of where it is from and where it is to; immutable.
    cdef readonly uint64_t cluster_id   # the sender's cluster: a datagram of another one is not taken
    cdef readonly node_id_t from_       # node id of the sender: messages in the datagram leave it out
    cdef readonly node_id_t to          # node id of the receiver, likewise
    cdef readonly uint64_t from_store   # the sender's data directory: drawn when that was made
    cdef readonly uint64_t from_boot    # the sender's start: greater with each start on that directory
    cdef readonly uint64_t to_store     # the receiver's, as the sender last heard it; 0: not yet
    cdef readonly uint64_t to_boot      # the receiver's, likewise

    cdef tuple _fields(self)

# Sender and receiver of a datagram whose header has been checked: what messages in it leave out.
cdef inline node_id_t datagram_from(const uint8_t* datagram) noexcept nogil:
    return load64(datagram + AT_FROM)


cdef inline node_id_t datagram_to(const uint8_t* datagram) noexcept nogil:
    return load64(datagram + AT_TO)


# Opens the datagram of so many bytes, whose frames are there already, with the header, and checksums all of it.
cdef inline void write_header(uint8_t* datagram, Py_ssize_t size, Header header) noexcept:
    store32(datagram + AT_VERSION, DATAGRAM_VERSION)  # flags and reserved: 0
    store64(datagram + AT_CLUSTER_ID, header.cluster_id)
    store64(datagram + AT_FROM, header.from_)
    store64(datagram + AT_TO, header.to)
    store64(datagram + AT_FROM_STORE, header.from_store)
    store64(datagram + AT_FROM_BOOT, header.from_boot)
    store64(datagram + AT_TO_STORE, header.to_store)
    store64(datagram + AT_TO_BOOT, header.to_boot)
    store32(datagram + AT_CHECKSUM, crc32c_update(0, datagram + CHECKSUM_SIZE, size - CHECKSUM_SIZE))
