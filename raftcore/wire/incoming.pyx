"""What comes from one peer in fragments, put together.

Each incarnation of a peer has an Incoming of its own; datagrams of another one never get here. Fragments may come
in any order and any number of times, and those of several messages side by side: a message is whole when each of its
fragments has come. Numbers of messages rise for as long as their sender lives. One that is over, handed out or given
up, is over for good: what is left of it on the way does nothing.

Memory is bounded: by ``room`` for the messages under way, at most MOST_OPEN of them. The sender knows ``room`` and
keeps to it. Where it has given up a message that is held here, the oldest makes way for a newer one.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

cimport cython

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.base.bytes cimport load64, store32
from raftcore.base.crc cimport crc32c_update
from raftcore.wire.fragment cimport ACK_RANGES, LARGEST_CUT, Fragment, fragment_count, read_fragment, write_ack
from raftcore.wire.header cimport CHECKSUM_SIZE, DATAGRAM_HEADER_SIZE
from raftcore.wire.parity cimport FIELDS_SIZE, GROUP, PACKET_SIZE, Groups, closes

from raftcore.base.errors import DecodeError


@cython.final
cdef class Partial:
    """A message of which not all has come; for Incoming only."""

    def __dealloc__(self):
        free(self.there)


cdef Partial new_partial(const Fragment* fragment, bytes opening):
    cdef Partial out = Partial.__new__(Partial)
    cdef uint8_t* at
    out.number, out.checksum, out.size, out.step = fragment.message, fragment.checksum, fragment.size, fragment.step
    out.count = fragment_count(fragment.size, fragment.step)
    out.there = <uint8_t*> calloc(out.count, 1)
    if out.there == NULL:
        raise MemoryError(f"{out.count} bytes for the fragments of a message")
    # Not written yet: no memory is taken for it before its fragments come.
    out.datagram = PyBytes_FromStringAndSize(NULL, DATAGRAM_HEADER_SIZE + <Py_ssize_t> fragment.size)
    at = <uint8_t*> PyBytes_AS_STRING(out.datagram)
    store32(at, fragment.checksum)
    memcpy(at + CHECKSUM_SIZE, PyBytes_AS_STRING(opening), DATAGRAM_HEADER_SIZE - CHECKSUM_SIZE)
    return out


@cython.final
cdef class Incoming:
    """Incoming(opening, room): of a peer whose datagrams have headers that go on like ``opening`` behind the checksum
    (60 bytes), and whose messages may take ``room`` bytes while they are put together. ValueError for other sizes.

    Attributes:
        room, held: bytes that messages under way may take, and do.
        fragments, repeated: that have come; those of them that had come before.
        messages, given_up: that were handed out whole; of which not all came.
        restored: fragments that did not come, and were known from others of their group.
        heard: something has come since :meth:`ack`.
    """

    def __cinit__(self, bytes opening not None, int64_t room):
        if PyBytes_GET_SIZE(opening) != DATAGRAM_HEADER_SIZE - CHECKSUM_SIZE:
            raise ValueError(f"a header has {DATAGRAM_HEADER_SIZE - CHECKSUM_SIZE} bytes behind its checksum, not "
                             f"{PyBytes_GET_SIZE(opening)}")
        if not 1 <= room <= LARGEST_CUT:
            raise ValueError(f"room must be 1 to {<int> LARGEST_CUT} bytes, not {room}")
        self.opening = opening
        self.room = room
        self.partials = []
        self.found = []

    def take(self, body, int64_t now_us):
        """Takes the body (bytes-like) of a frame with a fragment, which comes at ``now_us``, microseconds of any clock.

        The whole datagram, as it would have come in one piece, when this was all that was missing; else None.
        DecodeError for a malformed fragment, one that contradicts others, one of a message too large for ``room``, and
        when all of a message has come and its checksum does not fit it: that message is over then.
        """
        cdef Buffer view = buffer_of(body)
        cdef Fragment fragment
        cdef Partial partial
        read_fragment(view.at, view.size, &fragment)
        partial = self.find(&fragment)
        self.fragments += 1
        self.note(fragment.packet)
        if self.groups is not None and not closes(fragment.packet):
            self.add_to_group(fragment.packet, view.at, view.size)
        return self.insert(partial, &fragment, now_us)

    def take_parity(self, body):
        """Takes the body (bytes-like) of a frame that makes up for what was lost (parity.pyx): see :meth:`restore`.
        DecodeError for a malformed one."""
        cdef Buffer view = buffer_of(body)
        cdef uint64_t packet
        if view.size <= PACKET_SIZE + FIELDS_SIZE:
            raise DecodeError(f"{view.size} bytes where a parity needs more than {<int> (PACKET_SIZE + FIELDS_SIZE)}")
        packet = load64(view.at)
        if not closes(packet):
            raise DecodeError(f"a parity as datagram {packet}: it is the last of {<int> GROUP}")
        self.note(packet)
        if self.groups is None:
            self.groups = Groups()  # the first: before it a peer that sends none costs nothing
        self.add_to_group(packet, view.at, view.size)

    cdef int add_to_group(self, uint64_t packet, const uint8_t* body, Py_ssize_t size) except -1:
        cdef bytes found = self.groups.add(packet, body, size)
        if found is not None:
            self.found.append(found)
        return 0

    def restore(self, int64_t now_us):
        """Takes the fragments that were missing and are known now as if they had come, but for the acknowledgement. A
        whole datagram, when that was all that was missing of it, and there may be another; None: there is none.
        DecodeError as of :meth:`take`."""
        cdef Fragment fragment
        cdef bytes body, whole
        while self.found:
            body = self.found.pop(0)
            read_fragment(<const uint8_t*> PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &fragment)
            self.restored += 1
            whole = self.insert(self.find(&fragment), &fragment, now_us)
            if whole is not None:
                return whole
        return None

    cdef Partial find(self, const Fragment* fragment):
        """What has come of the fragment's message; None: nothing has. DecodeError when it says other things of it."""
        cdef Partial other
        if fragment.size > self.room:
            raise DecodeError(f"a message of {fragment.size} bytes in fragments: at most {self.room} are taken")
        for other in self.partials:
            if other.number == fragment.message:
                if (other.size != fragment.size or other.step != fragment.step or other.checksum != fragment.checksum):
                    raise DecodeError(f"two fragments of message {fragment.message} say different things of it")
                return other
        return None

    cdef bytes insert(self, Partial partial, const Fragment* fragment, int64_t now_us):
        """Puts a fragment where it belongs; the whole datagram, when this was all that was missing."""
        cdef uint8_t* at
        if partial is None:
            if self.is_over(fragment.message) or not self.make_room(fragment):
                self.repeated += 1
                return None
            partial = new_partial(fragment, self.opening)
            self.held += partial.size
            self.partials.insert(self.place_of(partial), partial)
        partial.heard_us = now_us
        if partial.there[fragment.index]:
            self.repeated += 1
            return None
        partial.there[fragment.index] = 1
        partial.have += 1
        at = <uint8_t*> PyBytes_AS_STRING(partial.datagram)
        memcpy(at + DATAGRAM_HEADER_SIZE + <uint64_t> fragment.index * partial.step, fragment.bytes, fragment.length)
        if partial.have < partial.count:
            return None
        self.finish(partial)
        if crc32c_update(0, at + CHECKSUM_SIZE, PyBytes_GET_SIZE(partial.datagram) - CHECKSUM_SIZE) != partial.checksum:
            self.given_up += 1
            raise DecodeError(f"message {partial.number} has come whole, and its checksum does not fit it")
        self.messages += 1
        return partial.datagram

    cdef bint make_room(self, const Fragment* fragment) except -1:
        """Whether the message may begin. Older ones make way for it, as their sender has given them up."""
        cdef Partial oldest
        while self.held + fragment.size > self.room or len(self.partials) >= MOST_OPEN:
            oldest = self.partials[0]
            if oldest.number > fragment.message:
                return False
            self.given_up += 1
            self.finish(oldest)
        return True

    cdef Py_ssize_t place_of(self, Partial partial) except -1:
        # Where it belongs among the others, which ascend.
        cdef Py_ssize_t at = len(self.partials)
        while at and (<Partial> self.partials[at - 1]).number > partial.number:
            at -= 1
        return at

    cdef int finish(self, Partial partial) except -1:
        # The message is over. Of those that are forgotten none older may begin any more.
        self.partials.remove(partial)
        self.held -= partial.size
        self.floor = max(self.floor, self.done[self.next_done])
        self.done[self.next_done] = partial.number
        self.next_done = (self.next_done + 1) % MOST_DONE
        return 0

    cdef bint is_over(self, uint64_t number) noexcept:
        cdef int i
        if number <= self.floor:
            return True
        for i in range(MOST_DONE):
            if self.done[i] == number:
                return True
        return False

    def expire(self, int64_t before_us):
        """Gives up the messages of which nothing has come since ``before_us``; how many."""
        cdef Partial partial
        cdef int count = 0
        for partial in list(self.partials):
            if partial.heard_us < before_us:
                self.finish(partial)
                count += 1
        self.given_up += count
        return count

    # --- Acknowledging ------------------------------------------------------------------------------------------

    cdef int note(self, uint64_t packet) noexcept:
        # Puts the number among the ranges, which descend with at least one number missing between each two. What has
        # no place any more is forgotten: its sender repeats it, or has heard of it long ago.
        cdef Range* ranges = self.ranges
        cdef int at = 0
        self.heard = True
        while at < self.count and packet < ranges[at].low:
            at += 1
        if at < self.count and packet <= ranges[at].high:
            return 0
        # It lies between the ranges at - 1 and at.
        if at and packet + 1 == ranges[at - 1].low:
            ranges[at - 1].low = packet
            self.untold[at - 1] = True
            if at < self.count and ranges[at].high + 1 == packet:
                ranges[at - 1].low = ranges[at].low
                self.count -= 1
                self.move(at + 1, at, self.count - at)
            return 0
        if at < self.count and ranges[at].high + 1 == packet:
            ranges[at].high = packet
            self.untold[at] = True
            return 0
        if at == MOST_RANGES:
            return 0
        self.count = min(self.count + 1, <int> MOST_RANGES)
        self.move(at, at + 1, self.count - at - 1)
        ranges[at].low = ranges[at].high = packet
        self.untold[at] = True
        return 0

    cdef int move(self, int at, int to, int count) noexcept:
        # So many ranges.
        memmove(self.ranges + to, self.ranges + at, count * sizeof(Range))
        memmove(self.untold + to, self.untold + at, count * sizeof(self.untold[0]))
        return 0

    def ack(self):
        """The body of a frame that tells what has come, None when all that has is told.

        It has place for ACK_RANGES stretches: those that are not told as they are come first, then the newest, which
        were told in case an acknowledgement was lost. Where the path reorders much, one is not enough: the next has
        newer ones, so that nothing seems to have been overtaken that was not.
        """
        cdef Range chosen[ACK_RANGES]
        cdef int untold = 0       # ranges that have not been told, and of which no more than fit
        cdef int at, begin = 0
        cdef int count = 0
        if not self.heard:
            return None
        for at in range(self.count - 1, -1, -1):
            if self.untold[at]:
                if untold == ACK_RANGES:
                    break
                untold += 1
                begin = at
        else:
            self.heard = False
            begin = 0
        for at in range(begin, self.count):
            if count == ACK_RANGES:
                break
            if self.untold[at]:
                untold -= 1
                self.untold[at] = False
            elif count + untold >= ACK_RANGES or self.heard:
                continue
            chosen[count] = self.ranges[at]
            count += 1
        return write_ack(chosen, count)
