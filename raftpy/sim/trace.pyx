"""What happened in a simulated world, event by event: a running hash of all of it, and on request the list itself.

Two runs of one plan must have the same hash, whatever the interpreter's hash seed. The events of the list are for
people (``raftpy sim draw``) and for tests.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t, uint64_t

from raftcore.base.crc cimport crc32c_update

from raftpy.sim.event import Event


cdef union Word:
    double real
    uint64_t whole
    uint8_t[8] bytes


@cython.final
cdef class Trace:
    """Takes the events of one run; keeps them in ``events`` if ``record`` is set, else that is None.

    ``count``: how many there were. ``hash``: of all events so far, in hexadecimal.
    """

    def __init__(self, record=False):
        self.events = [] if record else None
        self.count = 0
        self.low = self.high = 0

    def add(self, double time, uint64_t node, str kind, *detail):
        """One event has happened."""
        self.note(time, node, kind, detail)

    cdef int note(self, double time, uint64_t node, str kind, tuple detail) except -1:
        cdef Word word
        self.begin(time, node, kind)
        for part in detail:
            if type(part) is int:
                self.mix_whole(<uint64_t> (part & 0xFFFFFFFFFFFFFFFF))
            elif type(part) is bytes:
                self.mix(<const uint8_t*> PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
            elif type(part) is float:
                word.real = part
                self.mix(&word.bytes[0], 8)
            else:
                self.mix_text(part)
        self.end()
        if self.events is not None:
            self.events.append(Event(time, node, kind, detail))
        return 0

    cdef int note_sent(self, double time, uint64_t node, uint64_t number, uint64_t to, bytes datagram) except -1:
        if self.events is not None:
            return self.note(time, node, "send", (number, to, datagram))
        self.begin(time, node, "send")
        self.mix_whole(number)
        self.mix_whole(to)
        self.mix(<const uint8_t*> PyBytes_AS_STRING(datagram), PyBytes_GET_SIZE(datagram))
        self.end()
        return 0

    cdef int note_number(self, double time, uint64_t node, str kind, uint64_t number) except -1:
        if self.events is not None:
            return self.note(time, node, kind, (number,))
        self.begin(time, node, kind)
        self.mix_whole(number)
        self.end()
        return 0

    cdef int begin(self, double time, uint64_t node, str kind) except -1:
        cdef Word word
        self.count += 1
        word.real = time
        self.mix(&word.bytes[0], 8)
        self.mix_whole(node)
        self.mix_text(kind)
        return 0

    cdef void end(self) noexcept:
        # The number of the event is in the chain, so that what belongs to one and to the next cannot be shifted.
        self.mix_whole(self.count)

    cdef void mix_whole(self, uint64_t whole) noexcept:
        cdef Word word
        word.whole = whole
        self.mix(&word.bytes[0], 8)

    cdef int mix_text(self, str text) except -1:
        cdef Py_ssize_t size
        cdef const char* at = PyUnicode_AsUTF8AndSize(text, &size)
        self.mix(<const uint8_t*> at, size)
        return 0

    cdef void mix(self, const uint8_t* at, Py_ssize_t size) noexcept:
        # Two chains over the same bytes, the second also over what the first has come to.
        self.low = crc32c_update(self.low, at, size)
        self.high = (self.high ^ self.low) * 0x9E3779B1u + 0x7F4A7C15u

    @property
    def hash(self):
        return f"{self.count:x}-{self.high:08x}{self.low:08x}"
