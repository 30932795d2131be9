"""Witness members: they vote and hold the log's terms, but no payloads (beyond etcd/raft).

A witness is a voter whose log has the index, term and kind of every entry and the whole of configuration entries, but
no command; of a snapshot it needs no bytes. It acknowledges what it holds, so two full members and a witness commit
with one member down. Since voters compare logs by (term, index) (paper 5.4.1), a witness that has seen an entry refuses
every candidate that has not: when the only member with an entry's payload is down, nobody is elected, and the cluster
waits for it instead of losing the entry. A witness never stands for election and is never handed leadership: it has
nothing to lead with.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from raftcore.algorithm.state cimport Raft
from raftcore.base.types cimport EntryNormal, node_id_t
from raftcore.values.block cimport BLOCK_HEADER_SIZE, LENGTH_SIZE, BlockHeader, read_block_header, write_block_header
from raftcore.values.entries cimport Entries, make_entries


cdef bint is_witness(Raft r, node_id_t id) except -1:
    return r.witnesses is not None and id in r.witnesses


cdef Entries without_payloads(Entries entries):
    """The same entries, commands empty; other kinds whole."""
    cdef const uint8_t* source = <const uint8_t*> PyBytes_AS_STRING(entries.data)
    cdef const uint8_t* end = source + len(entries.data)
    cdef const uint8_t* at = source
    cdef BlockHeader header
    cdef Py_ssize_t size, whole
    cdef uint64_t payload = 0
    parts = []
    while at < end:
        read_block_header(at, &header)
        whole = BLOCK_HEADER_SIZE + <Py_ssize_t> header.count * LENGTH_SIZE + header.payload_size
        if header.kind == EntryNormal:
            size = BLOCK_HEADER_SIZE + <Py_ssize_t> header.count * LENGTH_SIZE
            header.payload_size = 0
            block = PyBytes_FromStringAndSize(NULL, size)
            memset(PyBytes_AS_STRING(block), 0, size)
            write_block_header(<uint8_t*> PyBytes_AS_STRING(block), &header)
        else:
            block = PyBytes_FromStringAndSize(<const char*> at, whole)
            payload += header.payload_size
        parts.append(block)
        at += whole
    return make_entries(
        b"".join(parts), entries.first, entries.count, entries.first_term, entries.last_term, payload, entries.blocks
    )
