"""Commands: what ``apply_batch`` is given, a sequence that makes each command's bytes when it is asked for."""
from collections.abc import Sequence

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from raftcore.values.message cimport Entries


cdef Commands make_commands(Entries entries, uint64_t start, Py_ssize_t count):
    cdef Commands out = Commands.__new__(Commands)
    out.entries = entries
    out.start = start
    out.size = count
    return out


cdef inline bytes command_at(Commands commands, Py_ssize_t position):
    # In order each costs a step; out of order up to a block's worth of them.
    cdef const uint8_t* at
    cdef uint32_t size = commands.entries.payload_at(commands.start + <uint64_t> position, &at)
    return PyBytes_FromStringAndSize(<const char*> at, size)


@cython.final
cdef class Commands:
    """An immutable sequence of commands (bytes) that follow one another in the log. It may be kept. Only the node makes
    one: the class raises TypeError when it is called."""

    def __init__(self):
        raise TypeError("Commands are made by the node for apply_batch")

    def __len__(self):
        return self.size

    def __getitem__(self, key):
        cdef Py_ssize_t position
        if isinstance(key, slice):
            return [command_at(self, i) for i in range(*key.indices(self.size))]
        position = key
        if position < 0:
            position += self.size
        if not 0 <= position < self.size:
            raise IndexError(f"position {key} is outside these {self.size} commands")
        return command_at(self, position)

    def __iter__(self):
        cdef CommandsIterator out = CommandsIterator.__new__(CommandsIterator)
        out.commands = self
        return out

    def __reversed__(self):
        return reversed(self[:])

    def index(self, *arguments):
        """As of a list."""
        return self[:].index(*arguments)

    def count(self, command):
        """As of a list."""
        return self[:].count(command)

    def __repr__(self):
        return f"<{self.size} commands>"


@cython.final
cdef class CommandsIterator:
    """Goes once through Commands, and makes each command's bytes when it gets there."""

    cdef Commands commands
    cdef Py_ssize_t position

    def __iter__(self):
        return self

    def __next__(self):
        if self.position == self.commands.size:
            raise StopIteration
        self.position += 1
        return command_at(self.commands, self.position - 1)

    def __length_hint__(self):
        return self.commands.size - self.position


Sequence.register(Commands)
