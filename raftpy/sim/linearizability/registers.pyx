"""The fast search for an order of one register's operations.

It is Wing and Gong's search with Lowe's memory of what was tried, as in ``search``, arranged so that there is little to
try and little to remember of it:

- ``at`` is the first return whose operation has no place yet. All that returned before it have one, and what was called
  after it cannot have one; so the set of those that have a place is told by ``at`` and the bits of the operations that
  are under way at that return, however long the history. To lift an operation is to set its bit.
- What never changes anything, a read or an operation that was not done, happens as soon as it may: later it could do no
  more for the others. Only between changes is there a choice.
- A value that must still be found, and that nothing can bring back, is not overwritten. If nothing can set the value
  before the next operation that must find one, then it is there now, or at least what others append to.
- Versions only grow. While an operation that was told of a lower version has no place, none that was told of a higher
  one gets it: the lower one could never follow.
- An operation of unknown outcome happens only if the next one needs it, so never right before a plain write. Of several
  that are alike the one called first goes first. What failed with some of them used up is not tried again with more.
"""
cimport cython
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from raftpy.sim.linearizability.lineup cimport (
    ABSENT, APPEND, DELETE, NONE, NOT_DONE, NOT_TOLD, READ, SWAP, UNKNOWN, WRITE, Asked, Lineup, makes, must_find,
    resets,
)
from raftpy.sim.linearizability.tried cimport Tried

from raftpy.sim.linearizability.search import Found

# What an operation does in a state.
cdef enum:
    CANNOT = 0
    SAME = 1
    CHANGES = 2


# The state of the register. A negative version, -floor - 1, is only known to be greater than the floor.
cdef struct Cell:
    int64_t value
    int64_t version


# An operation that was given its place.
cdef struct Placed:
    int32_t number
    int32_t at          # what was the first open return before it


# A choice between candidates, to come back to.
cdef struct Choice:
    Cell cell
    int32_t candidate   # the one taken
    int32_t placed      # so many operations had their place
    int32_t loose


cdef inline bint look(Cell* cell, int64_t value, int64_t version) noexcept nogil:
    # Whether value and version, as far as told, are what is there. A version that was open is open no more.
    if value != NONE and value != cell.value:
        return False
    if version == NONE:
        return True
    if cell.value == ABSENT:
        return version == 0
    if cell.version >= 0:
        return version == cell.version
    if version <= -cell.version - 1:
        return False
    cell.version = version
    return True


cdef inline bint refused(const Asked* asked, Cell* cell) noexcept nogil:
    # Whether a swap or delete may be answered as not done.
    if not look(cell, asked.seen, asked.version if asked.done == NOT_DONE else NONE):
        return False
    if cell.value == ABSENT and (asked.condition != NONE or asked.kind == DELETE):
        return True
    if asked.expected != NONE and asked.expected != cell.value:
        return True
    return asked.condition != NONE and asked.condition != cell.version


@cython.final
cdef class Search:
    """One search; it is used once."""
    cdef Lineup lineup
    cdef Tried tried
    cdef Placed* trail
    cdef Choice* choices
    cdef uint64_t* row          # at and loose, value, version; bits of the known operations; bits of the others
    cdef uint64_t* bits         # within it
    cdef uint64_t* used         # within it
    cdef char* is_placed        # of each known operation
    cdef int32_t at, placed, chosen
    cdef int32_t resets         # so many of those placed set the value
    cdef int32_t lowest         # place of the lowest version of which an operation was told that has no place yet
    cdef int32_t loose          # whether the last change was of unknown outcome, and nothing has come of it yet
    cdef Cell cell
    cdef int64_t steps, budget
    cdef dict joined            # the number of a value with another behind it
    cdef dict ends              # of a value: those that begin with it and that somebody must find, or not find

    def __cinit__(self, Lineup lineup, int64_t budget):
        cdef int32_t words = (lineup.widest + 63) // 64
        cdef int32_t used_words = (lineup.unknown + 63) // 64
        cdef size_t size = lineup.known + lineup.unknown + 1
        self.lineup = lineup
        self.budget = budget
        self.joined = {}
        self.ends = {}
        self.tried = Tried(3 + words, used_words)
        self.trail = <Placed*> malloc(size * sizeof(Placed))
        self.choices = <Choice*> malloc(size * sizeof(Choice))
        self.row = <uint64_t*> calloc(3 + words + used_words, sizeof(uint64_t))
        self.is_placed = <char*> calloc(size, 1)
        if not (self.trail and self.choices and self.row and self.is_placed):
            raise MemoryError
        self.bits = self.row + 3
        self.used = self.bits + words

    def __dealloc__(self):
        free(self.trail)
        free(self.choices)
        free(self.row)
        free(self.is_placed)

    cdef int64_t join(self, int64_t value, int64_t piece) except -2:
        # The number of a value with a piece behind it; a key that is not there counts as empty.
        if value == ABSENT:
            return piece
        key = (value, piece)
        found = self.joined.get(key)
        if found is None:
            found = self.joined[key] = self.lineup.number(self.lineup.values[value] + self.lineup.values[piece])
        return found

    cdef int change(self, const Asked* asked, Cell* cell, int64_t version) except -1:
        # CHANGES if the operation's condition holds and it can be given this version, else CANNOT.
        cdef int64_t value = asked.value
        cdef int64_t floor
        if asked.kind == SWAP or asked.kind == DELETE:
            if cell.value == ABSENT and (asked.condition != NONE or asked.kind == DELETE):
                return CANNOT
            if not look(cell, asked.expected, asked.condition):
                return CANNOT
        elif asked.kind == APPEND:
            value = self.join(cell.value, asked.value)
        floor = cell.version if cell.version >= 0 else -cell.version - 1
        cell.value = value
        if version == NONE:
            cell.version = -floor - 1
        elif version <= floor:
            return CANNOT
        else:
            cell.version = version if value != ABSENT else -version - 1
        return CHANGES

    cdef int step(self, const Asked* asked, Cell* after) except -1:
        # What the operation does here, and what it leaves.
        cdef int done = CANNOT
        after[0] = self.cell
        if asked.kind == READ:
            if not look(after, asked.seen, asked.version):
                return CANNOT
            done = SAME
        if asked.kind != READ and asked.done != NOT_DONE:
            done = self.change(asked, after, asked.version)
        if done == CANNOT and (asked.done == NOT_DONE or asked.done == NOT_TOLD):
            after[0] = self.cell
            done = SAME if refused(asked, after) else CANNOT
        if done == CANNOT:
            return CANNOT
        return SAME if after.value == self.cell.value and after.version == self.cell.version else CHANGES

    cdef inline void put(self, int32_t number) noexcept:
        # Gives an operation its place behind the others.
        cdef Asked* asked = &self.lineup.asked[number]
        cdef int32_t slot = asked.slot
        self.trail[self.placed].number = number
        self.trail[self.placed].at = self.at
        self.placed += 1
        self.steps += 1
        self.count(number, 1)
        if number >= self.lineup.known:
            self.used[slot >> 6] |= <uint64_t> 1 << (slot & 63)
            return
        self.bits[slot >> 6] |= <uint64_t> 1 << (slot & 63)
        while self.at < self.lineup.known:
            slot = self.lineup.asked[self.at].slot
            if not self.bits[slot >> 6] >> (slot & 63) & 1:
                break
            self.bits[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))
            self.at += 1

    cdef inline void take_back(self) noexcept:
        # The last operation placed loses its place.
        self.placed -= 1
        cdef int32_t number = self.trail[self.placed].number
        cdef Asked* asked = &self.lineup.asked[number]
        cdef int32_t slot = asked.slot
        self.count(number, -1)
        if number >= self.lineup.known:
            self.used[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))
            return
        while self.at > self.trail[self.placed].at:
            self.at -= 1
            slot = self.lineup.asked[self.at].slot
            self.bits[slot >> 6] |= <uint64_t> 1 << (slot & 63)
        slot = asked.slot
        self.bits[slot >> 6] &= ~(<uint64_t> 1 << (slot & 63))

    cdef inline void count(self, int32_t number, int32_t placed) noexcept:
        # Keeps count of one more operation with a place, or of one less.
        cdef const Asked* asked = &self.lineup.asked[number]
        cdef int32_t place
        if must_find(asked) != NONE:
            self.lineup.needed[must_find(asked)] -= placed
        if makes(asked) != NONE:
            self.lineup.makers[makes(asked)] -= placed
            self.resets += placed
        if number >= self.lineup.known:
            return
        self.is_placed[number] = placed > 0
        place = self.lineup.told_place[number]
        if place != NONE and placed < 0:
            self.lowest = min(self.lowest, place)
        elif place == self.lowest:
            while place < self.lineup.versions and self.is_placed[self.lineup.told[place].number]:
                place += 1
            self.lowest = place

    cdef inline bint is_free(self, int32_t number) noexcept:
        cdef int32_t slot = self.lineup.asked[number].slot
        return not self.bits[slot >> 6] >> (slot & 63) & 1

    cdef inline bint is_turn(self, const Asked* asked) noexcept:
        # Whether nobody who has no place yet was told of a version below the operation's own.
        return (asked.version <= 0 or self.lowest >= self.lineup.versions
                or self.lineup.told[self.lowest].version >= asked.version)

    cdef int settle(self) except -1:
        # Places whatever never changes anything and may happen now.
        cdef int32_t i, number, at
        cdef const Asked* asked
        cdef Cell after
        if self.at == self.lineup.known:
            return 0
        i = self.lineup.first[self.at]
        while i < self.lineup.first[self.at + 1]:
            number = self.lineup.candidates[i]
            i += 1
            asked = &self.lineup.asked[number]
            if asked.kind != READ and asked.done != NOT_DONE:
                continue
            if self.is_free(number) and self.step(asked, &after) == SAME:
                at = self.at
                self.put(number)
                self.loose = False
                if self.at == self.lineup.known:
                    break
                if self.at != at:
                    i = self.lineup.first[self.at]
        return 0

    cdef bint is_new(self) except -1:
        # Whether this has not been tried, with no more operations of unknown outcome used up.
        self.row[0] = <uint64_t> self.at << 1 | self.loose
        self.row[1] = <uint64_t> self.cell.value
        self.row[2] = <uint64_t> self.cell.version
        return self.tried.add(self.row)

    cdef int32_t candidate(self, int32_t place) noexcept:
        # The operation in a place among all that may come next; NONE behind the last one.
        cdef int32_t known = self.lineup.first[self.at + 1] - self.lineup.first[self.at]
        if place < known:
            return self.lineup.candidates[self.lineup.first[self.at] + place]
        return self.lineup.known + place - known if place - known < self.lineup.called[self.at] else NONE

    cdef bint may_come(self, int32_t number, Cell* after) except -1:
        # Whether an operation has no place yet, can happen now, and it makes sense to let it.
        cdef const Asked* asked = &self.lineup.asked[number]
        cdef int done
        if number < self.lineup.known:
            if not self.is_free(number) or not self.is_turn(asked):
                return False
        elif self.used[asked.slot >> 6] >> (asked.slot & 63) & 1:
            return False
        elif asked.twin != NONE and not self.used[asked.twin >> 6] >> (asked.twin & 63) & 1:
            return False
        if self.loose and asked.kind == WRITE:
            return False
        done = self.step(asked, after)
        if done == CANNOT or (done == SAME and asked.done == UNKNOWN):
            return False
        if asked.done == UNKNOWN and self.lineup.appends and not self.is_wanted(after.value):
            return False
        if after.value == self.cell.value:
            return True
        return (self.lineup.appends or self.spares(asked)) and self.leads_on(number, after.value)

    cdef inline bint spares(self, const Asked* asked) noexcept:
        # Whether the value that the operation puts an end to is needed by nobody else, or can come back.
        return (self.lineup.needed[self.cell.value] <= (must_find(asked) == self.cell.value)
                or self.lineup.makers[self.cell.value] > 0)

    cdef bint is_wanted(self, int64_t value) except -1:
        # Among appends: whether somebody may still notice that this value was there, which takes its place now.
        if self.lineup.blind or self.lineup.guesses:
            return True
        if self.lineup.deletes and (value == ABSENT or self.cell.value == ABSENT):
            return True
        for end in self.behind(value):
            if self.lineup.needed[<int64_t> end] > 0:
                return True
        if self.lineup.doubts:
            for end in self.behind(self.cell.value):
                if self.lineup.doubted[<int64_t> end]:
                    return True
        return False

    cdef list behind(self, int64_t value):
        ends = self.ends.get(value)
        if ends is None:
            ends = self.ends[value] = self.found_behind(value)
        return ends

    cdef list found_behind(self, int64_t value):
        # The numbers of all values that somebody must find, or not find, and that begin with this one.
        cdef list found = []
        cdef int64_t wanted
        cdef set all_ends = {must_find(&self.lineup.asked[i]) for i in range(self.lineup.known)}
        all_ends.update([self.lineup.asked[i].expected for i in range(self.lineup.known)])
        start = self.lineup.values[value]
        for number in sorted(all_ends):
            wanted = number
            if wanted == NONE:
                continue
            if wanted == value or value == ABSENT or (
                wanted != ABSENT and self.lineup.values[wanted][:len(start)] == start
            ):
                found.append(wanted)
        return found

    cdef bint leads_on(self, int32_t number, int64_t value) except -1:
        # Whether the next operation that must find a value can find it, with this one there by the given operation.
        cdef int32_t next_one = self.lineup.finder[self.at]
        cdef int64_t wanted
        while next_one < self.lineup.known and (self.is_placed[next_one] or next_one == number):
            next_one = self.lineup.finder[next_one + 1]
        if next_one == self.lineup.known:
            return True
        if self.lineup.resets[next_one] > self.resets + resets(&self.lineup.asked[number]):
            return True
        wanted = must_find(&self.lineup.asked[next_one])
        if wanted == value or not self.lineup.appends:
            return wanted == value
        if value == ABSENT or wanted == ABSENT:
            return value == ABSENT
        start = self.lineup.values[value]
        return self.lineup.values[wanted][:len(start)] == start

    cdef bint choose(self, int32_t place) except -1:
        # Lets the first one from this place on happen that may come next; False if there is none.
        cdef int32_t number = self.candidate(place)
        cdef Cell after
        cdef Choice* choice
        while number != NONE:
            if self.may_come(number, &after):
                choice = &self.choices[self.chosen]
                self.chosen += 1
                choice.cell, choice.candidate, choice.placed, choice.loose = self.cell, place, self.placed, self.loose
                self.put(number)
                self.cell = after
                self.loose = number >= self.lineup.known
                return True
            place += 1
            number = self.candidate(place)
        return False

    cdef object run(self):
        # True, False, or None when the budget is used up.
        cdef int32_t place = 0
        while True:
            if place == 0:
                self.settle()
                if self.at == self.lineup.known:
                    return True
                if self.steps >= self.budget:
                    return None
            if (place or self.is_new()) and self.choose(place):
                place = 0
                continue
            if not self.chosen:
                return False
            self.chosen -= 1
            while self.placed > self.choices[self.chosen].placed:
                self.take_back()
            self.cell, self.loose = self.choices[self.chosen].cell, self.choices[self.chosen].loose
            place = self.choices[self.chosen].candidate + 1

    cdef list order(self):
        # The operations that have a place, in order, by their indices as given.
        return [self.lineup.asked[self.trail[i].number].index for i in range(self.placed)]


def search_register(list operations, initial, int64_t budget):
    """Looks for an order as ``search`` does with the model of a register.

    Of ``Found``, ``longest`` is empty unless there is an order, and ``blocked`` is always -1: what nothing explains is
    found by searching shorter histories. Reads of unknown outcome, and operations of unknown outcome that the others do
    not need, are not in the order.
    """
    cdef Lineup lineup = Lineup(operations, initial)
    cdef Search search = Search(lineup, budget)
    search.cell.value = lineup.number(initial)
    search.cell.version = -1
    found = search.run()
    return Found(found, search.order() if found else [], -1, search.steps)
