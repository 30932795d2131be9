"""One key's operations as numbers, in the order in which a search needs them.

Operations whose outcome is known are numbered by their returns. Each has a bit from its call to its return, and two
have the same one only if they are never under way together: as many bits are needed as clients are busy at once. For
each return there is a list of what is under way there.
"""
cimport cython
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc, qsort

from raftpy.sim.linearizability.history import ANY

cdef object any_value = ANY


cdef int earlier(const void* one, const void* other) noexcept nogil:
    # Calls come before returns of the same moment.
    cdef const Moment* a = <const Moment*> one
    cdef const Moment* b = <const Moment*> other
    if a.time != b.time:
        return -1 if a.time < b.time else 1
    if a.returns != b.returns:
        return a.returns - b.returns
    return a.asked - b.asked


cdef int lower(const void* one, const void* other) noexcept nogil:
    cdef const Told* a = <const Told*> one
    cdef const Told* b = <const Told*> other
    if a.version != b.version:
        return -1 if a.version < b.version else 1
    return a.number - b.number


cdef int64_t must_find(const Asked* asked) noexcept nogil:
    if asked.done == NOT_DONE and asked.seen == NONE and asked.kind == DELETE:
        return ABSENT if asked.expected == NONE and asked.condition == NONE else NONE
    if asked.done == DONE and (asked.kind == SWAP or asked.kind == DELETE):
        return asked.expected
    return asked.seen


cdef int64_t makes(const Asked* asked) noexcept nogil:
    return NONE if asked.done == NOT_DONE or asked.kind == READ or asked.kind == APPEND else asked.value


cdef bint resets(const Asked* asked) noexcept nogil:
    return makes(asked) != NONE


cdef inline bint tells_apart(const Asked* asked) noexcept nogil:
    # Whether it matters to an operation what is there otherwise than by the value that it must find or expects.
    if asked.kind == APPEND:
        return True
    if asked.kind == WRITE or must_find(asked) != NONE:
        return False
    if asked.kind == DELETE and asked.expected == ABSENT:  # nobody can delete that
        return asked.version != NONE
    if asked.kind == READ:
        return asked.version != NONE
    if asked.done == NOT_DONE:  # without a condition it must have been done
        return asked.expected != NONE or asked.condition != NONE
    return asked.expected == NONE and (asked.condition != NONE or asked.kind == DELETE)


cdef inline bint alike(const Asked* a, const Asked* b) noexcept nogil:
    return a.kind == b.kind and a.value == b.value and a.expected == b.expected and a.condition == b.condition


@cython.final
cdef class Lineup:
    """``len()``: how many operations a search has to look at."""

    def __cinit__(self, list operations, initial=None):
        cdef size_t count = len(operations)
        cdef Moment* moments = <Moment*> malloc((2 * count + 1) * sizeof(Moment))
        cdef Asked* given = <Asked*> malloc((count + 1) * sizeof(Asked))
        self.numbers = {None: ABSENT}
        self.values = [None]
        self.number(initial)
        try:
            if not moments or not given:
                raise MemoryError
            self.set_up(given, moments, self.read_in(given, moments, operations))
        finally:
            free(moments)
            free(given)
        self.leave_out()
        self.count_values()
        self.look_ahead()
        self.order_versions()

    def __dealloc__(self):
        free(self.asked)
        free(self.candidates)
        free(self.first)
        free(self.called)
        free(self.resets)
        free(self.finder)
        free(self.doubted)
        free(self.needed)
        free(self.makers)
        free(self.told)
        free(self.told_place)

    def __len__(self):
        return self.known + self.unknown

    cdef int64_t number(self, value) except -2:
        # Equal values have equal numbers.
        if value is any_value:
            return NONE
        found = self.numbers.get(value)
        if found is None:
            found = self.numbers[value] = len(self.values)
            self.values.append(value)
        return found

    cdef Py_ssize_t read_in(self, Asked* given, Moment* moments, list operations) except -1:
        # Fills in both, the moments in order; gives how many moments there are.
        cdef Py_ssize_t count = 0
        cdef int32_t i
        cdef Asked* asked
        for i in range(<int32_t> len(operations)):
            _, _, call, returned, question, output = operations[i]
            kind, value, expected, condition = question
            asked = &given[i]
            asked.index = i
            asked.kind = kind
            asked.done = UNKNOWN
            asked.value = ABSENT if asked.kind == DELETE or asked.kind == READ else self.number(value)
            asked.expected = self.number(expected)
            asked.condition = NONE if condition is None else condition
            asked.seen = asked.version = asked.twin = asked.slot = NONE
            self.appends |= asked.kind == APPEND
            moments[count].time, moments[count].returns, moments[count].asked = call, 0, i
            count += 1
            if returned is None or output is None:
                continue
            done, seen, version = output
            asked.done = NOT_TOLD if done is None else DONE if done else NOT_DONE
            if asked.kind == READ or asked.done == NOT_DONE:
                asked.seen = self.number(seen)
            if version is not None and (asked.kind == READ or asked.done != NOT_TOLD):
                asked.version = version
            moments[count].time, moments[count].returns, moments[count].asked = returned, 1, i
            count += 1
        qsort(moments, count, sizeof(Moment), earlier)
        return count

    cdef int set_up(self, const Asked* given, const Moment* moments, Py_ssize_t count) except -1:
        cdef int32_t* room
        self.measure(given, moments, count)
        room = <int32_t*> malloc((2 * self.widest + self.known + self.unknown + 1) * sizeof(int32_t))
        self.asked = <Asked*> malloc((self.known + self.unknown + 1) * sizeof(Asked))
        self.candidates = <int32_t*> malloc((self.first[self.known] + 1) * sizeof(int32_t)) if self.first else NULL
        if not (room and self.asked and self.candidates and self.first and self.called):
            free(room)
            raise MemoryError
        self.follow(given, moments, count, room)
        free(room)
        return 0

    cdef void measure(self, const Asked* given, const Moment* moments, Py_ssize_t count) noexcept:
        # How many operations of either kind there are, and where each return's candidates begin.
        cdef Py_ssize_t i
        cdef int32_t returned = 0, total = 0, under_way = 0
        for i in range(count):
            self.known += moments[i].returns
        self.unknown = <int32_t> count - 2 * self.known
        self.first = <int32_t*> malloc((self.known + 1) * sizeof(int32_t))
        self.called = <int32_t*> malloc((self.known + 1) * sizeof(int32_t))
        if not self.first or not self.called:
            return
        for i in range(count):
            if moments[i].returns:
                self.first[returned] = total
                returned += 1
                total += under_way
                under_way -= 1
            elif given[moments[i].asked].done != UNKNOWN:
                under_way += 1
                self.widest = max(self.widest, under_way)
        self.first[returned] = total

    cdef void follow(self, const Asked* given, const Moment* moments, Py_ssize_t count, int32_t* room) noexcept:
        # Puts the operations in order, gives them their bits, and lists the candidates of each return.
        # The room holds what is under way, by call; the free bits; the number of each operation as given.
        cdef int32_t* way = room
        cdef int32_t* bits = room + self.widest
        cdef int32_t* number_of = bits + self.widest
        cdef int32_t returned = 0, unknown = 0, under_way = 0, kept, total, j, k
        cdef Py_ssize_t i
        for i in range(count):
            if moments[i].returns:
                number_of[moments[i].asked] = returned
                returned += 1
        for j in range(self.widest):
            bits[j] = j
        for i in range(count):
            j = moments[i].asked
            if given[j].done == UNKNOWN:
                self.asked[self.known + unknown] = given[j]
                unknown += 1
                continue
            k = number_of[j]
            if not moments[i].returns:
                self.asked[k] = given[j]
                self.asked[k].slot = bits[under_way]
                way[under_way] = k
                under_way += 1
                continue
            self.called[k] = unknown
            total = self.first[k]
            self.candidates[total] = k
            kept = 0
            for j in range(under_way):
                if way[j] != k:
                    total += 1
                    self.candidates[total] = way[j]
                    way[kept] = way[j]
                    kept += 1
            under_way = kept
            bits[under_way] = self.asked[k].slot

    cdef int leave_out(self) except -1:
        # Leaves out operations of unknown outcome that nobody can have noticed, and finds the twins of the others.
        cdef int32_t i, j, kept = 0
        cdef Asked* asked
        cdef Py_ssize_t size = len(self.values)
        cdef char* matters = <char*> calloc(size, 1)
        cdef int32_t* before = <int32_t*> malloc((self.unknown + 1) * sizeof(int32_t))
        self.doubted = <char*> calloc(size, 1)
        if not matters or not before or not self.doubted:
            free(matters)
            free(before)
            raise MemoryError
        for i in range(self.known + self.unknown):
            asked = &self.asked[i]
            self.guesses |= asked.done >= NOT_TOLD and asked.expected != NONE
            if asked.kind == DELETE and asked.done != NOT_DONE and asked.condition == NONE:
                self.deletes |= asked.expected == NONE
            elif tells_apart(asked) and asked.kind != APPEND:
                if asked.done == NOT_DONE and asked.condition == NONE and asked.version == NONE:
                    self.doubts = self.doubted[asked.expected] = True
                else:
                    self.blind = True
            if must_find(asked) != NONE:
                matters[must_find(asked)] = True
            if asked.expected != NONE:
                matters[asked.expected] = True
        for i in range(self.unknown):
            before[i] = kept
            asked = &self.asked[self.known + i]
            if asked.kind == READ:
                continue
            if not (self.appends or self.deletes or self.doubts or self.blind or matters[asked.value]):
                continue
            asked.slot = kept
            for j in reversed(range(kept)):
                if alike(&self.asked[self.known + j], asked):
                    asked.twin = j
                    break
            self.asked[self.known + kept] = asked[0]
            kept += 1
        before[self.unknown] = kept
        for i in range(self.known):
            self.called[i] = before[self.called[i]]
        self.unknown = kept
        free(matters)
        free(before)
        return 0

    cdef int count_values(self) except -1:
        cdef Py_ssize_t size = len(self.values)
        cdef int32_t i
        cdef Asked* asked
        self.needed = <int64_t*> calloc(size, sizeof(int64_t))
        self.makers = <int64_t*> calloc(size, sizeof(int64_t))
        if not self.needed or not self.makers:
            raise MemoryError
        for i in range(self.known + self.unknown):
            asked = &self.asked[i]
            if must_find(asked) != NONE:
                self.needed[must_find(asked)] += 1
            if makes(asked) != NONE:
                self.makers[makes(asked)] += 1
        return 0

    cdef int look_ahead(self) except -1:
        cdef int32_t i, j, k
        cdef int32_t before = 0, unknown_before = 0
        self.resets = <int32_t*> malloc((self.known + 1) * sizeof(int32_t))
        self.finder = <int32_t*> malloc((self.known + 1) * sizeof(int32_t))
        if not self.resets or not self.finder:
            raise MemoryError
        j = self.known
        for i in range(self.known):
            while j < self.known + self.called[i]:
                unknown_before += resets(&self.asked[j])
                j += 1
            self.resets[i] = before + unknown_before
            for k in range(self.first[i], self.first[i + 1]):
                self.resets[i] += resets(&self.asked[self.candidates[k]])
            before += resets(&self.asked[i])
        self.finder[self.known] = self.known
        for i in reversed(range(self.known)):
            self.finder[i] = i if must_find(&self.asked[i]) != NONE else self.finder[i + 1]
        return 0

    cdef int order_versions(self) except -1:
        cdef int32_t i
        self.told = <Told*> malloc((self.known + 1) * sizeof(Told))
        self.told_place = <int32_t*> malloc((self.known + 1) * sizeof(int32_t))
        if not self.told or not self.told_place:
            raise MemoryError
        for i in range(self.known):
            self.told_place[i] = NONE
            if self.asked[i].version > 0:
                self.told[self.versions].version = self.asked[i].version
                self.told[self.versions].number = i
                self.versions += 1
        qsort(self.told, <size_t> self.versions, sizeof(Told), lower)
        for i in range(self.versions):
            self.told_place[self.told[i].number] = i
        return 0
