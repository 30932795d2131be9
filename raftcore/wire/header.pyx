"""A datagram's header: which incarnation of which disk speaks to which. Fields and offsets are in header.pxd."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cimport cython

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load16, load32, load64
from raftcore.base.crc cimport crc32c_update
from raftcore.base.types cimport APPLY_THREAD, node_id_t

from raftcore.base.errors import DecodeError


@cython.final
cdef class Header:
    """The header of a datagram (decisions 4 and 5); every field an unsigned 64-bit number, 0 unless it is given.

    Name the arguments: seven numbers in a row are easily in the wrong order.

    Attributes:
        cluster_id: the cluster's.
        from_, to: node ids of the sender and of the receiver, below 2**64 - 2.
        from_store, from_boot: the sender's data directory, and its start on it.
        to_store, to_boot: the receiver's, as the sender last heard them; 0 when it has not yet.
    """

    def __cinit__(self, uint64_t cluster_id=0, node_id_t from_=0, node_id_t to=0, uint64_t from_store=0,
                  uint64_t from_boot=0, uint64_t to_store=0, uint64_t to_boot=0):
        self.cluster_id = cluster_id
        self.from_ = from_
        self.to = to
        self.from_store = from_store
        self.from_boot = from_boot
        self.to_store = to_store
        self.to_boot = to_boot

    cdef tuple _fields(self):
        return (self.cluster_id, self.from_, self.to, self.from_store, self.from_boot, self.to_store, self.to_boot)

    def __eq__(self, other):
        if not isinstance(other, Header):
            return NotImplemented
        return self._fields() == (<Header> other)._fields()

    def __hash__(self):
        return hash(self._fields())

    def __repr__(self):
        return (f"Header(cluster_id={self.cluster_id:#x}, from_={self.from_}, to={self.to}, "
                f"from_store={self.from_store:#x}, from_boot={self.from_boot:#x}, to_store={self.to_store:#x}, "
                f"to_boot={self.to_boot:#x})")

    def __reduce__(self):
        return Header, self._fields()


def parse_header(buffer):
    """The Header of a datagram (bytes-like, the whole datagram). DecodeError when it is too short, of another version,
    damaged (CRC32C), or says what no header of this version says."""
    cdef Buffer view
    cdef const uint8_t* at
    cdef Py_ssize_t size
    if type(buffer) is bytes:
        at = <const uint8_t*> PyBytes_AS_STRING(buffer)
        size = PyBytes_GET_SIZE(buffer)
    else:
        view = buffer_of(buffer)
        size = view.size
        at = view.at
    if size < DATAGRAM_HEADER_SIZE:
        raise DecodeError(f"a datagram of {size} bytes, at least {<int> DATAGRAM_HEADER_SIZE} expected")
    # The version comes first: another version may keep something else where the checksum is.
    if at[AT_VERSION] != DATAGRAM_VERSION:
        raise DecodeError(f"datagram version {at[AT_VERSION]}, only {<int> DATAGRAM_VERSION} is understood")
    cdef uint32_t crc = crc32c_update(0, at + CHECKSUM_SIZE, size - CHECKSUM_SIZE)
    if crc != load32(at + AT_CHECKSUM):
        raise DecodeError(f"datagram checksum {load32(at + AT_CHECKSUM):#010x}, but its bytes have {crc:#010x}")
    if at[AT_FLAGS] or load16(at + AT_RESERVED):
        raise DecodeError(f"datagram flags {at[AT_FLAGS]:#04x} and reserved {load16(at + AT_RESERVED)}, 0 and 0 "
                          "expected")
    cdef Header out = Header.__new__(Header)  # filled below: no Python numbers on the way
    out.cluster_id = load64(at + AT_CLUSTER_ID)
    out.from_ = datagram_from(at)
    out.to = datagram_to(at)
    out.from_store = load64(at + AT_FROM_STORE)
    out.from_boot = load64(at + AT_FROM_BOOT)
    out.to_store = load64(at + AT_TO_STORE)
    out.to_boot = load64(at + AT_TO_BOOT)
    if out.from_ >= APPLY_THREAD or out.to >= APPLY_THREAD:
        raise DecodeError(f"datagram from {out.from_} to {out.to}: node ids are below {APPLY_THREAD}")
    return out
