"""What goes to one peer in fragments: what leaves next and when, what is sent again, and what is given up.

A message is cut into fragments of equal size. The oldest message goes first, and of it what was lost before what was
never sent; a later one begins when nothing is left of it to send, without waiting for its arrival. Each datagram has a
number of its own, as in RFC 9002, so that an acknowledgement says which of two datagrams with one fragment has arrived.
Which are lost is section 6 of that RFC: one sent before another that has arrived, by three numbers or by 9/8 of a round
trip; and when nothing is heard any more, datagrams that ask for an acknowledgement. On a path that has reordered some,
numbers say nothing any more, and one that was overtaken is waited for as long as RFC 8985 (RACK) says, section 6.2.
What is taken for lost is remembered for a while: if it is acknowledged after all, the next ones are waited for longer.
How fast they leave is congestion.pyx.

When nothing of all that is under way arrives for ``GIVE_UP_US``, all of it is given up: Raft repeats what still
matters. What the path takes may change (path_size.py): messages are cut by what it takes when they come, and those that
were cut too large begin anew. An Outgoing belongs to one incarnation of the peer. Times are whole microseconds of one
clock.
"""
from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

cimport cython

from raftcore.base.buffer cimport Buffer, buffer_of
from raftcore.wire.congestion cimport PACKET_THRESHOLD, PERSISTENT_THRESHOLD, Congestion
from raftcore.wire.fragment cimport (
    ACK_RANGES, FRAGMENT_OVERHEAD, LARGEST_CUT, LEAST_STEP, RUN_BYTES, RUN_DATAGRAMS, SURE_SIZE, Range, fragment_count,
    fragment_datagram, fragment_length, read_ack,
)
from raftcore.wire.header cimport DATAGRAM_HEADER_SIZE
from raftcore.wire.incoming cimport MOST_OPEN, MOST_PATIENT
from raftcore.wire.parity cimport Parity

from raftcore.base.errors import DecodeError

GIVE_UP_US = 5_000_000
cdef int64_t give_up_us = GIVE_UP_US

cdef enum:
    # What became of a fragment,
    UNSENT = 0
    SENT = 1
    LOST = 2
    DONE = 3
    # and of a datagram.
    ON_ITS_WAY = 0
    ARRIVED = 1
    GONE = 2               # nobody asks any more
    MISSED = 3             # taken for lost: it may still come
    HOLE_DATAGRAMS = 3     # larger ones of which none arrives
    HOLE_US = 1000000      # for so long, as with probes of the path
    LONGEST_BACKOFF = 10   # doublings of the probe timeout
    FIRST_CAPACITY = 64
    URGENT_RUN = 3         # datagrams with urgent fragments in a row, while others wait
    REMEMBERED_TIMEOUTS = 3   # probe timeouts after it left, in which one that was taken for lost may still come


@cython.final
cdef class Pending:
    """A message that goes in fragments; for Outgoing only."""

    def __dealloc__(self):
        free(self.states)


# Nothing of the message has been sent: it is cut into fragments of step bytes.
cdef int cut(Pending message, uint32_t step) except -1:
    cdef uint32_t count = fragment_count(message.size, step)
    cdef uint8_t* states = <uint8_t*> calloc(count, 1)
    if states == NULL:
        raise MemoryError(f"{count} bytes for the fragments of a message")
    free(message.states)
    message.states = states
    message.step, message.count = step, count
    message.begun = message.done = message.lost = message.first_lost = 0
    return 0


cdef int check_size(int64_t datagram) except -1:
    if not FRAGMENT_OVERHEAD + LEAST_STEP <= datagram <= FRAGMENT_OVERHEAD + LARGEST_CUT:
        raise ValueError(f"a datagram with a fragment has {FRAGMENT_OVERHEAD + LEAST_STEP} bytes or more, not "
                         f"{datagram}")
    return 0


@cython.final
cdef class Outgoing:
    """Outgoing(datagram, room, burst, seed): to a peer that puts together messages of ``room`` bytes at a time and
    whose socket holds ``burst`` of them, in datagrams of at most ``datagram`` bytes; ``seed`` as in congestion.pyx.

    Each call at ``now_us`` that changes something may change :meth:`deadline`. ValueError for a datagram that is too
    small to hold a fragment.

    Attributes:
        congestion: what is known of the path.
        waiting: bytes of the messages that are not done.
        last: number of the message that began last; 0: none has. Numbers rise in the order in which messages begin, so
            one may have a larger one than was given for it.
        large_us: when a datagram of more than what passes any path arrived last; 0: none has.
        parity: what makes up for losses without a repetition, where the peer takes that (parity.pyx).
        fragments, repeated, lost, late: datagrams with fragments sent; those of them that held what had been sent
            before; datagrams taken for lost; those of these that arrived after all.
        messages, given_up: that have arrived whole; that were given up.
    """

    def __cinit__(self, int64_t datagram, int64_t room, int64_t burst, uint64_t seed=0):
        check_size(datagram)
        self.congestion = Congestion(datagram, seed)
        self.step = <uint32_t> (datagram - FRAGMENT_OVERHEAD)
        self.room = room
        self.burst = burst
        self.queue = []
        self.open = []
        self.done = []
        self.base = self.first = self.next = 1
        self.parity = Parity()
        self.loss_us = INT64_MAX

    def __dealloc__(self):
        free(self.ring)

    # --- Messages -----------------------------------------------------------------------------------------------

    def add(self, bytes datagram not None, uint64_t number, object key, int64_t now_us, bint urgent=False):
        """Takes a whole datagram. ``number``: above all that were ever given to this peer by this incarnation, and
        above what ``last`` was of an Outgoing before this one; ``key``: anything hashable, for :meth:`holds`;
        ``urgent``: it goes before those that are not, also where these have begun; every fourth datagram is theirs.
        ValueError when the peer cannot take that much."""
        cdef Pending message = Pending.__new__(Pending)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(datagram) - DATAGRAM_HEADER_SIZE
        if size < 1:
            raise ValueError(f"a datagram of {PyBytes_GET_SIZE(datagram)} bytes has no frames to cut")
        if size > self.room or size > LARGEST_CUT:
            raise ValueError(f"a message of {size} bytes is larger than what the peer puts together, {self.room} bytes")
        message.number = number
        message.key = key
        message.datagram = datagram
        message.size = <uint32_t> size
        cut(message, self.step)
        if self.waiting == 0:
            self.progress_us = now_us
        self.waiting += size
        message.urgent = urgent
        if urgent:
            self.queue.insert(self.urgent_ones(), message)
        else:
            self.queue.append(message)

    cdef Py_ssize_t urgent_ones(self) except -1:
        # How many of the queue are urgent: they are its first.
        cdef Py_ssize_t at = 0
        while at < len(self.queue) and (<Pending> self.queue[at]).urgent:
            at += 1
        return at

    def holds(self, object key):
        """Whether a message that was added with this key is not done yet."""
        cdef Pending message
        for message in self.open:
            if message.key == key:
                return True
        for message in self.queue:
            if message.key == key:
                return True
        return False

    def take_done(self):
        """The keys of the urgent messages that have arrived since this was asked last."""
        cdef list done = self.done
        if done:
            self.done = []
        return done

    def resize(self, int64_t datagram, uint64_t number):
        """Datagrams have ``datagram`` bytes at most from now on. What is under way in larger ones is cut anew, and
        begins again under other numbers, from ``number`` on, as a message and its cut have one number; so do those
        behind it. How many numbers were taken. ValueError as at the beginning."""
        cdef Pending message
        cdef list anew
        cdef uint64_t taken = 0
        check_size(datagram)
        self.congestion.resize(datagram)
        self.step = <uint32_t> (datagram - FRAGMENT_OVERHEAD)
        anew = [message for message in self.open if (<Pending> message).step > self.step]
        number = max(number, self.last + 1)
        if anew:
            self.forget_under_way(anew)
            self.open = [message for message in self.open if (<Pending> message).step <= self.step]
        for message in self.queue:
            cut(message, self.step)
        for message in anew:
            cut(message, self.step)
            message.number = self.last = number + taken
            taken += 1
        self.open += anew
        if anew:
            for message in self.queue:
                message.number = number + taken
                taken += 1
            self.large_count = 0
        return taken

    cdef int forget_under_way(self, list messages) except -1:
        """Whether datagrams with fragments of these messages arrive is not asked any more."""
        cdef uint64_t number
        cdef Departure* departure
        for number in range(self.first, self.next):
            departure = self.at(number)
            if departure.fate == ON_ITS_WAY and self.find(departure.message) in messages:
                departure.fate = GONE
                self.congestion.model.forgotten(departure.leaving.size)
        return self.forget_settled()

    def black_hole(self, int64_t now_us):
        """Whether datagrams seem to vanish that are larger than what passes any path: for a second, and for three probe
        timeouts, some have been sent and none has arrived. Whether smaller ones arrive is the caller's to know."""
        return (self.large_count >= HOLE_DATAGRAMS
                and now_us - self.large_sent_us >= max(<int64_t> HOLE_US, 3 * self.congestion.probe_timeout_us()))

    cdef Pending find(self, uint64_t number):
        cdef Pending message
        for message in self.open:
            if message.number == number:
                return message
        return None

    # --- Sending ------------------------------------------------------------------------------------------------

    def next_datagram(self, int64_t now_us):
        """The next datagram that may leave now, checksum and all, which counts as sent; None: none may."""
        return self.take_next(INT64_MAX, now_us)

    def next_run(self, int64_t now_us):
        """The next datagrams that may leave now, as :meth:`next_datagram` gives them, as many as the system may take at
        once: all have the size of the first but the last, which may be smaller. Empty: none may."""
        cdef list run = []
        cdef int64_t size, most = INT64_MAX, left = RUN_BYTES
        cdef bytes datagram
        while len(run) < RUN_DATAGRAMS:
            datagram = self.take_next(min(most, left) if run else INT64_MAX, now_us)
            if datagram is None:
                break
            size = PyBytes_GET_SIZE(datagram)
            run.append(datagram)
            left -= size
            if size < most and len(run) > 1:
                break
            most = size
        return run

    cdef bytes take_next(self, int64_t most, int64_t now_us):
        """The next datagram, if it has ``most`` bytes or fewer."""
        cdef Pending message
        cdef uint32_t index
        cdef int64_t size
        size = self.parity_size()
        if size:
            return self.build_parity(now_us) if size <= most and self.may_leave(size, now_us) else None
        message = self.choose()
        if message is None:
            self.congestion.model.limited_by_sender()
            if not self.probes:
                return None
            message = self.repeat_oldest(&index)
            if message is None:
                self.probes = 0
                return None
        else:
            index = self.choose_fragment(message)
        size = FRAGMENT_OVERHEAD + fragment_length(message.size, message.step, index)
        return self.build(message, index, now_us) if size <= most and self.may_leave(size, now_us) else None

    cdef bint may_leave(self, int64_t size, int64_t now_us) except -1:
        if self.probes:
            self.probes -= 1  # window and pauses do not hold it back (7.5)
            return True
        if not self.congestion.has_room(size):
            self.congestion.model.limited_by_window()
            return False
        return self.congestion.leaves_us(size, self.burst, now_us) <= now_us

    cdef int64_t parity_size(self) noexcept:
        """Bytes of the next datagram, if it makes up for what is lost of those before it (parity.pyx); else 0."""
        return self.parity.due(self.next, self.step) if self.waiting and not self.probes else 0

    cdef Pending choose(self):
        """The message that something may be sent of: the oldest, the urgent before the others, which have a share;
        None."""
        cdef Pending message
        cdef Pending urgent = None
        cdef Pending patient = None
        for message in self.open:
            if message.lost or message.begun < message.count:
                if message.urgent:
                    urgent = message if urgent is None else urgent
                else:
                    patient = message if patient is None else patient
        if self.urgent_run >= URGENT_RUN:
            patient = self.begin(False) if patient is None else patient
            if patient is not None:
                return patient
        if urgent is None:
            urgent = self.begin(True)
        if urgent is not None:
            return urgent
        return self.begin(False) if patient is None else patient

    cdef Pending begin(self, bint urgent):
        """The next message that waits, urgent or not, begins, if one may; None."""
        cdef Py_ssize_t at = 0 if urgent else self.urgent_ones()
        cdef Pending message
        if at == len(self.queue):
            return None
        message = self.queue[at]
        if message.urgent != urgent or len(self.open) >= MOST_OPEN or (not urgent and self.patient >= MOST_PATIENT):
            return None
        if self.open and self.open_bytes + message.size > self.room:
            return None
        del self.queue[at]
        # Of what the receiver has forgotten as done, nothing older may begin: numbers rise in the order of beginning.
        message.number = self.last = max(message.number, self.last + 1)
        self.open.append(message)
        self.open_bytes += message.size
        self.patient += not urgent
        return message

    cdef uint32_t choose_fragment(self, Pending message) noexcept:
        cdef uint32_t index
        if not message.lost:
            return message.begun
        index = message.first_lost
        while message.states[index] != LOST:
            index += 1
        message.first_lost = index
        return index

    cdef Pending repeat_oldest(self, uint32_t* index):
        """What has been under way longest, for a datagram that asks for an acknowledgement."""
        cdef uint64_t number
        cdef Departure* departure
        cdef Pending message
        for number in range(self.first, self.next):
            departure = self.at(number)
            if departure.fate == ON_ITS_WAY:
                message = self.find(departure.message)
                if message is not None and message.states[departure.index] == SENT:
                    index[0] = departure.index
                    return message
        return None

    cdef bytes build(self, Pending message, uint32_t index, int64_t now_us):
        cdef bytes out = fragment_datagram(message.datagram, self.next, message.number, message.step, index)
        self.parity.add(self.next, out, message.urgent)
        self.push(message.number, index, PyBytes_GET_SIZE(out), now_us)
        if message.states[index] == UNSENT:
            message.begun += 1
        else:
            self.repeated += 1
        if message.states[index] == LOST:
            message.lost -= 1
        message.states[index] = SENT
        self.urgent_run = self.urgent_run + 1 if message.urgent else 0
        self.fragments += 1
        return out

    cdef bytes build_parity(self, int64_t now_us):
        cdef bytes out = self.parity.build(self.next)
        self.push(0, 0, PyBytes_GET_SIZE(out), now_us)
        return out

    cdef int push(self, uint64_t message, uint32_t index, Py_ssize_t size, int64_t now_us) except -1:
        # The datagram is on its way, with a fragment of that message; 0: of none.
        cdef Departure* grown
        cdef Departure* departure
        cdef uint64_t number, capacity
        if self.next - self.base == self.capacity:
            capacity = max(2 * self.capacity, <uint64_t> FIRST_CAPACITY)
            grown = <Departure*> malloc(capacity * sizeof(Departure))
            if grown == NULL:
                raise MemoryError(f"{capacity} datagrams under way")
            for number in range(self.base, self.next):
                grown[number % capacity] = self.ring[number % self.capacity]
            free(self.ring)
            self.ring = grown
            self.capacity = capacity
        departure = self.at(self.next)
        departure.message, departure.index, departure.fate = message, index, ON_ITS_WAY
        self.next += 1
        self.last_us = now_us
        if size > SURE_SIZE:
            if self.large_count == 0:
                self.large_sent_us = now_us
            self.large_count += 1
        self.congestion.sent(&departure.leaving, size, now_us)
        return 0

    cdef inline Departure* at(self, uint64_t number) noexcept:
        return self.ring + number % self.capacity

    # --- What became of it --------------------------------------------------------------------------------------

    def ack(self, body, int64_t now_us):
        """Takes the body (bytes-like) of a frame that acknowledges. DecodeError for a malformed one, and one that
        acknowledges what was never sent: nothing has changed then."""
        cdef Buffer view = buffer_of(body)
        cdef Range ranges[ACK_RANGES]
        cdef int count = read_ack(view.at, view.size, ranges)
        cdef int i
        cdef uint64_t number
        cdef int fate
        cdef bint news = False
        if ranges[0].high >= self.next:
            raise DecodeError(f"datagram {ranges[0].high} is acknowledged, and {self.next - 1} was the last")
        number = ranges[0].high
        if number >= self.base and (self.at(number).fate == ON_ITS_WAY or self.at(number).fate == MISSED):
            self.congestion.sample(now_us - self.at(number).leaving.sent_us, now_us)
        for i in range(count - 1, -1, -1):
            for number in range(max(self.base, ranges[i].low), ranges[i].high + 1):
                fate = self.at(number).fate
                if fate == ON_ITS_WAY or fate == MISSED:
                    self.arrived(number, now_us)
                    news = True
        self.newest = max(self.newest, ranges[0].high)
        if not news:
            return
        if self.recovery and self.newest >= self.recovery:
            self.recovery = 0
            self.congestion.recovered()
        self.timeouts = self.probes = 0
        self.progress_us = now_us
        self.find_lost(now_us)
        self.congestion.update(now_us)

    cdef int arrived(self, uint64_t number, int64_t now_us) except -1:
        cdef Departure* departure = self.at(number)
        cdef Pending message = self.find(departure.message)
        if number < self.newest:
            self.note_overtaken(number, departure.fate == MISSED)
        if departure.fate == MISSED:
            self.late += 1
            self.congestion.model.found(departure.leaving.size)
        departure.fate = ARRIVED
        if departure.leaving.size > SURE_SIZE:
            self.large_count = 0
            self.large_us = now_us
        self.congestion.model.acknowledged(&departure.leaving, now_us)
        if message is None or message.states[departure.index] == DONE:
            return 0
        if message.states[departure.index] == LOST:
            message.lost -= 1
        message.states[departure.index] = DONE
        message.done += 1
        if message.done == message.count:
            self.open.remove(message)
            self.open_bytes -= message.size
            self.patient -= not message.urgent
            if message.urgent:
                self.done.append(message.key)
            self.waiting -= message.size
            self.messages += 1
        return 0

    cdef int note_overtaken(self, uint64_t number, bint missed) except -1:
        """A datagram that left later had arrived before it (RFC 8985, 6.2, steps 3 and 4). ``missed``: it was taken for
        lost, so the next ones are waited for longer; once in a round trip."""
        if not self.congestion.reordered:
            self.congestion.overtaken()
            self.widened = self.next
        elif missed and number >= self.widened:
            self.congestion.premature()
            self.widened = self.next
        return 0

    cdef int find_lost(self, int64_t now_us) except -1:
        """Which datagrams are lost (6.1, A.10; RFC 8985, 6.2, step 5), and what follows (7.6.2)."""
        cdef int64_t delay_us = self.congestion.loss_delay_us()
        cdef bint apart = True        # the one before is not lost
        cdef int64_t begun_us = -1    # when the first of a stretch did of which nothing has arrived
        cdef int64_t longest_us = 0
        cdef uint64_t number
        cdef Departure* departure
        cdef Pending message
        self.loss_us = INT64_MAX
        for number in range(self.first, min(self.newest, self.next)):
            departure = self.at(number)
            if departure.fate == ARRIVED:
                begun_us = -1
            if departure.fate != ON_ITS_WAY:
                apart = True
                continue
            if ((self.congestion.reordered or number + PACKET_THRESHOLD > self.newest)
                    and departure.leaving.sent_us > now_us - delay_us):
                self.loss_us = min(self.loss_us, departure.leaving.sent_us + delay_us)
                apart = True
                continue
            departure.fate = MISSED
            self.lost += 1
            if not self.recovery:
                self.recovery = self.next
            self.congestion.model.take_lost(&departure.leaving, apart)
            apart = False
            if departure.leaving.sent_us > self.congestion.first_sample_us:
                if begun_us < 0:
                    begun_us = departure.leaving.sent_us
                longest_us = max(longest_us, departure.leaving.sent_us - begun_us)
            message = self.find(departure.message)
            if message is not None and message.states[departure.index] == SENT:
                message.states[departure.index] = LOST
                message.first_lost = departure.index if not message.lost else min(message.first_lost, departure.index)
                message.lost += 1
        if longest_us > PERSISTENT_THRESHOLD * self.congestion.probe_timeout_us():
            self.congestion.persistent()
        return self.forget_settled()

    cdef int forget_settled(self) noexcept:
        # What is taken for lost is remembered as long as it may still come.
        cdef int64_t before_us = self.last_us - REMEMBERED_TIMEOUTS * self.congestion.probe_timeout_us()
        while self.first < self.next and self.at(self.first).fate != ON_ITS_WAY:
            self.first += 1
        while self.base < self.first and (self.at(self.base).fate != MISSED
                                          or self.at(self.base).leaving.sent_us <= before_us):
            self.base += 1
        return 0

    # --- Time ---------------------------------------------------------------------------------------------------

    cdef int64_t probe_us(self) noexcept:
        """When to ask for an acknowledgement, if none comes (6.2.1): twice as long after each time in a row."""
        if self.first == self.next:
            return INT64_MAX
        return self.last_us + (self.congestion.probe_timeout_us() << min(self.timeouts, <int> LONGEST_BACKOFF))

    def tick(self, int64_t now_us):
        """What time alone brings about: losses, questions, giving up. How many messages are given up."""
        if self.waiting and now_us >= self.progress_us + give_up_us:
            return self.drop_all()
        if self.loss_us != INT64_MAX:
            # What will count as lost, or arrive, says more than a probe would, which waits for it (A.8).
            if now_us >= self.loss_us:
                self.find_lost(now_us)
        elif now_us >= self.probe_us():
            self.timeouts += 1
            self.probes = 1 if self.next - self.first == 1 else 2
        return 0

    def give_up(self):
        """Gives up everything; how many messages. What is on its way may arrive, and nobody asks."""
        return self.drop_all()

    cdef int drop_all(self) except -1:
        cdef int count = len(self.open) + len(self.queue)
        cdef uint64_t number
        for number in range(self.first, self.next):
            if self.at(number).fate == ON_ITS_WAY:
                self.congestion.model.forgotten(self.at(number).leaving.size)
        self.base = self.first = self.next
        self.open = []
        self.queue = []
        self.done = []
        self.patient = 0
        self.open_bytes = self.waiting = 0
        self.loss_us = INT64_MAX
        self.timeouts = self.probes = 0
        self.congestion.persistent()
        self.given_up += count
        return count

    def deadline(self, int64_t now_us):
        """When :meth:`tick` or :meth:`next_datagram` have something to do unless an acknowledgement comes first, at
        ``now_us`` or later; None: never."""
        cdef int64_t due_us
        cdef Pending message
        cdef int64_t size
        if self.waiting == 0:
            # Datagrams that are still under way repeat what has arrived: nobody waits for them.
            return None
        if self.probes:
            return now_us
        due_us = min(self.progress_us + give_up_us, self.probe_us() if self.loss_us == INT64_MAX else self.loss_us)
        size = self.parity_size()
        message = None if size else self.choose()
        if message is not None:
            size = FRAGMENT_OVERHEAD + fragment_length(message.size, message.step, self.choose_fragment(message))
        if size and self.congestion.has_room(size):
            due_us = min(due_us, self.congestion.leaves_us(size, self.burst, now_us))
        return max(due_us, now_us)
