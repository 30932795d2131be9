"""What the runtime asks of the state that is replicated.

A state machine needs ``apply`` and nothing else. Then its node keeps the whole log, and applies all of it again at each
start. What gives out its state, and takes it back, ends that: the runtime writes it into a snapshot now and then, cuts
the log behind it, and starts from the newest one (paper 7). There are two ways:

    in memory    InMemoryStateMachine    capture, restore                             begins empty at each start
    on disk      OnDiskStateMachine      capture, restore, applied_index, sync        has its state at the start
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from raftpy.contracts.files import Data


class StateMachine(Protocol):
    """What the committed commands act on (paper 2). The same commands in the same order must give the same state and
    results.

    So ``apply`` may not ask the clock, a random source, the order of a set or a dict it did not fill itself, or
    anything else that differs between replicas. ``ApplyError`` raised by it is a result like any other; any other
    exception stops the node with ``ApplyFailed`` (decision 10). It runs in the event loop and should not take long.

    Optional: ``apply_batch(first_index, commands) -> sequence of results``, one for each command, an ``ApplyError``
    object in the place of a command that failed. ``commands`` is a sequence that makes each command's bytes when asked
    for. Where it is there, ``apply`` is not called.
    """

    def apply(self, index: int, command: bytes) -> Any:
        """Carries out one command; ``index`` is its place in the log. What it returns is the proposer's result, on the
        node where it was proposed. Called once for each committed command in each run of the node, in ascending order
        of ``index``, which skips entries that are no commands."""
        ...


class BatchStateMachine(StateMachine, Protocol):
    """A state machine that takes many commands at a time."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        """Carries out ``commands``, which stand at ``first_index`` and after without a gap; see :class:`StateMachine`.
        A result for each of them, no more and no fewer: anything else stops the node. A sequence that makes them when
        they are asked for, and whose class has the attribute ``never_fails = True``, is asked for none where nobody
        waits for any: after a restart that is millions."""
        ...


class StateView(Protocol):
    """A state machine's state at one moment: what is applied later does not show in it."""

    def write(self) -> Iterator[Data]:
        """The state's bytes, in chunks of any size, which are not changed any more; called once.

        The runtime takes chunks for a millisecond at a time, in the event loop's thread, and lets commands be applied
        in between; so each should be made in well under a millisecond. A view with the attribute ``writes_in_thread =
        True`` is asked in a thread of its own instead, while commands go on: for one that spends its time without the
        interpreter's lock. What it raises ends the snapshot, which the log's line names, and nothing else.
        """
        ...

    def close(self) -> None:
        """It is needed no more, whether everything was written or not. Called once, in the event loop's thread unless
        the node ends meanwhile."""
        ...


class SavedState(Protocol):
    """The bytes that a view once wrote, on this node or on another one. All of them were read back and checked before
    this was given out."""

    version: int
    """The ``state_version`` of the machine that wrote them; never newer than that of the machine that reads."""
    size: int
    """How many bytes there are."""

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer, or none, only at the end.

        Raises ``SnapshotFailed`` when the disk cannot give them any more, and ``Stopped`` when the start was given up:
        neither is to be caught.
        """
        ...


class InMemoryStateMachine(StateMachine, Protocol):
    """A state machine whose state is lost with the process, and comes back from a snapshot and the log behind it.

    For example, a counter of words::

        class Words:
            state_version = 1

            def __init__(self) -> None:
                self.counts: dict[bytes, int] = {}

            def apply(self, index: int, command: bytes) -> int:
                self.counts[command] = self.counts.get(command, 0) + 1
                return self.counts[command]

            def capture(self) -> WordsView:
                return WordsView(dict(self.counts))  # a copy; a large state is better kept in parts that are shared

            def restore(self, saved: SavedState) -> None:
                while head := saved.read(12):
                    count, size = struct.unpack("<QI", head)
                    self.counts[saved.read(size)] = count


        class WordsView:
            def __init__(self, counts: dict[bytes, int]) -> None:
                self.counts = counts

            def write(self) -> Iterator[bytes]:
                for word, count in self.counts.items():
                    yield struct.pack("<QI", count, len(word)) + word

            def close(self) -> None:
                self.counts.clear()
    """

    state_version: int
    """Of the form in which views write the state, 1 to 65,535. Raised when older releases would misread it; ``restore``
    reads all that came before."""

    def capture(self) -> StateView:
        """The state as it is now, all commands applied so far and no other. Called between two commands, in the event
        loop's thread, where every microsecond counts: what it takes, all that is proposed has to wait.

        What it raises ends the snapshot alone, as what ``StateView.write`` raises.
        """
        ...

    def restore(self, saved: SavedState) -> None:
        """Takes over the state that a view has written, in place of the one there is.

        Called at the start, before any command is applied, in a thread of its own where the store is opened in one;
        what it raises comes out of the node's ``start``. And called in a thread while the node runs, whenever the
        leader's log does not reach this node any more and its snapshot takes the place of what is here: between two
        commands, with no view of this machine open. What it raises then stops the node with ``RestoreFailed``. Whoever
        reads the state in the loop meanwhile, without the node's leave (``Node.read_index``), reads while it is
        replaced.
        """
        ...


class OnDiskStateMachine(InMemoryStateMachine, Protocol):
    """A state machine that keeps its state itself, durably, and knows how far it has come.

    At a start it is given only the commands behind ``applied_index``. So each command's effects and its index must
    become durable together: in one transaction, as here in SQLite::

        class Words:
            state_version = 1

            def __init__(self, path: str) -> None:
                self.path = path
                self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self.database.execute("PRAGMA journal_mode = WAL")  # who reads sees one moment, and stops no writer
                self.database.execute("PRAGMA synchronous = FULL")  # each COMMIT is synced
                self.database.execute("CREATE TABLE IF NOT EXISTS words (word BLOB PRIMARY KEY)")
                self.database.execute("CREATE TABLE IF NOT EXISTS applied (last INTEGER)")

            def apply(self, index: int, command: bytes) -> None:
                self.database.execute("BEGIN")
                self.database.execute("INSERT OR IGNORE INTO words VALUES (?)", (command,))
                self.database.execute("DELETE FROM applied")
                self.database.execute("INSERT INTO applied VALUES (?)", (index,))
                self.database.execute("COMMIT")

            def applied_index(self) -> int:
                return self.database.execute("SELECT ifnull(max(last), 0) FROM applied").fetchone()[0]

            def sync(self) -> int:
                return self.applied_index()

            def capture(self) -> WordsView:
                return WordsView(self.path)

            def restore(self, saved: SavedState) -> None:
                self.database.execute("DELETE FROM applied")  # durable: from here on there is no state
                self.database.execute("DELETE FROM words")
                self.database.execute("BEGIN")
                with self.database:  # all of it, or nothing
                    (last,) = struct.unpack("<Q", saved.read(8))
                    while head := saved.read(4):
                        (size,) = struct.unpack("<I", head)
                        self.database.execute("INSERT INTO words VALUES (?)", (saved.read(size),))
                    self.database.execute("INSERT INTO applied VALUES (?)", (last,))


        class WordsView:
            def __init__(self, path: str) -> None:
                self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self.database.execute("BEGIN")  # what the next line sees is what all others see
                (self.last,) = self.database.execute("SELECT ifnull(max(last), 0) FROM applied").fetchone()

            def write(self) -> Iterator[bytes]:
                yield struct.pack("<Q", self.last)
                for (word,) in self.database.execute("SELECT word FROM words"):
                    yield struct.pack("<I", len(word)) + word

            def close(self) -> None:
                self.database.close()
    """

    def applied_index(self) -> int:
        """Index of the last command whose effects it has; 0 for none. Asked once at each start, before anything else.

        While a ``restore`` is not complete and durable it is 0. Beyond the end of the node's log it is damage: the
        machine has what the log has lost, or it is another node's. The start is refused then.
        """
        ...

    def sync(self) -> int:
        """What is applied is durable, up to the index returned. Called in the event loop's thread, before the log is
        cut, which never goes further than this. A machine that takes long to sync does it beside, and returns how far
        that has come."""
        ...

    def restore(self, saved: SavedState) -> None:
        """As :meth:`InMemoryStateMachine.restore`, and durable on return.

        It may be cut off by a crash at any point. Then ``applied_index`` is 0 at the next start, and it is called
        again, perhaps with another snapshot; so it first makes durable that there is no state, then clears what there
        is. On return ``applied_index`` may be anything up to the snapshot's index: the runtime knows that one.
        """
        ...
