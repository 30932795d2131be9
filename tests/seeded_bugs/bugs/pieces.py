"""Mistakes in handing entries on in the bytes that they came in."""

from tests.seeded_bugs.bug import Bug

PIECES = "tests/unit/test_pieces.py"

BUGS = (
    Bug(
        name="replaced-piece-still-there",
        breaks="two logs with the same entry are the same up to it (log matching, Figure 3): what was replaced is "
        "neither sent nor written",
        file="raftcore/log/log_entries.pyx",
        old="            self._pieces.truncate(first)\n",
        new="",
        near=PIECES,
    ),
    Bug(
        name="piece-cut-through-still-there",
        breaks="two logs with the same entry are the same up to it (log matching, Figure 3): also of what was replaced "
        "in part",
        file="raftcore/log/pieces.pyx",
        old="            if piece.first + piece.count <= index:\n",
        new="            if piece.first < index:\n",
        near=PIECES,
    ),
    Bug(
        name="acknowledged-with-the-first-piece",
        breaks="an acknowledgement leaves when all that it covers is durable (paper 5)",
        file="raftcore/api/take_ready.pyx",
        old="    cdef uint64_t last = writes.begun + 1 + (0 if behind is None else <uint64_t> "
        "size_of(<PyObject*> behind))\n",
        new="    cdef uint64_t last = writes.begun + 1\n",
        near=PIECES,
    ),
    Bug(
        name="piece-written-twice",
        breaks="an entry is written once, and as a part of the log it is in (docs/design.md)",
        file="raftcore/log/log.pyx",
        old="self._from_window(first, next_piece(self._pieces, first, self._last + 1), NO_LIMIT, ENCODED, True)\n",
        new="self._from_window(first, self._last + 1, NO_LIMIT, ENCODED, True)\n",
        near=PIECES,
    ),
    Bug(
        name="piece-applied-before-its-end-is-committed",
        breaks="only committed entries are applied (state machine safety, Figure 3)",
        file="raftcore/log/log.pyx",
        old="        if piece is not None and piece.first + piece.count <= end and applying_size(piece) <= room:\n",
        new="        if piece is not None and applying_size(piece) <= room:\n",
        near=PIECES,
    ),
    Bug(
        name="pieces-beyond-what-may-be-applied",
        breaks="no more is handed out to be applied than max_committed_size_per_ready (Config)",
        file="raftcore/log/log.pyx",
        old="        room -= handed\n",
        new="",
        near=PIECES,
    ),
    Bug(
        name="piece-kept-and-not-counted",
        breaks="the bytes of an entry are there for as long as it is in the log: a committed entry never changes "
        "(Figure 3)",
        file="raftcore/log/window.pyx",
        old="    Py_INCREF(owner)\n",
        new="",
        near=PIECES,
    ),
    Bug(
        name="large-message-kept-for-little",
        breaks="the memory of a log is bounded by what is in it (docs/design.md)",
        file="raftcore/log/window.pyx",
        old="    if size >= REFERRED_TO and kept <= KEPT_FOR * <size_t> size and (kept <= MOST_KEPT or count == 1):\n",
        new="    if size >= REFERRED_TO:\n",
        near=PIECES,
    ),
    Bug(
        name="message-kept-for-its-end",
        breaks="the memory of a log is bounded by what is in it (docs/design.md): also where most of a message was "
        "there",
        file="raftcore/log/window.pyx",
        old="    if size >= REFERRED_TO and kept <= KEPT_FOR * <size_t> size and (kept <= MOST_KEPT or count == 1):\n",
        new="    if size >= REFERRED_TO and (kept <= MOST_KEPT or count == 1):\n",
        near=PIECES,
    ),
    Bug(
        name="piece-that-says-what-comes-later-is-committed",
        breaks="what is stored can be started from at any time: its commit index lies in its log (docs/design.md)",
        file="raftcore/api/take_ready.pyx",
        old=" = committed if behind is None else min(committed, entries.first + entries.count - 1)\n",
        new=" = committed\n",
        near=PIECES,
    ),
)
