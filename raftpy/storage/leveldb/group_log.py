"""One group's part of the store: what a batch writes of it, and what is read back of its log.

A batch is built and written in the writer's thread, while the loop reads::

    stage    the group's appends -> records in the batch, and its head
    (the store writes the batch of all groups, synced)
    written  the index knows the new records from now on
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from raftcore.base.conflict import Conflict
from raftcore.base.errors import LogTemporarilyUnavailable, Unavailable
from raftcore.values.message import Entries, Message, Snapshot
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.files import is_passing
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import GroupFloor
from raftpy.storage.leveldb.many import Many
from raftpy.storage.leveldb.row import RowBatch
from raftpy.storage.leveldb.sealing import Sealed, seal
from raftpy.storage.leveldb.startup import Log, Reader
from raftpy.storage.records import Plan, gather, placeholder


class LevelDBGroupLog:
    """A ``GroupLog`` of an open store.

    group: its id.
    log: what opening has found of it.
    conflict: why the node is quarantined in it, or None.
    mutex: a free lock, which guards the index against the writer's thread and is never held during a write.
    check: raises when the store is not open, or has failed.
    fail: kills the store's handle, and gives what is to be raised.
    keep: makes a group's conflict durable.
    surely: makes a call that cannot wait for descriptors, and gives its result.
    many: reads many records at once.
    """

    def __init__(
        self,
        group: int,
        log: Log,
        conflict: Conflict | None,
        reader: Reader,
        mutex: AbstractContextManager[object],
        check: Callable[[], None],
        fail: Callable[[BaseException], StorageFailed],
        keep: Callable[[int, Conflict], None],
        surely: Callable[[Callable[[], Entries]], Entries],
        many: Many,
    ) -> None:
        self.group = group
        self.head = log.head
        self.conflict = conflict
        self.commands = 0
        """Bytes of payloads that were put into batches."""
        self._head_key = keys.head_key(group)
        self._reader = reader
        self._check = check
        self._fail = fail
        self._keep = keep
        self._surely = surely
        self._many = many
        self._records: list[int] = []  # first indexes of those in the batch under way
        self._mutex = mutex
        self._index = log.index
        self._cut_through: int | None = None  # record that the batch under way makes shorter
        self._changes = 0  # how often records have gone, or become shorter
        self._compact_to = 0  # what is up to here is to go with the next batch

    # --- writing: all of it is for one thread at a time

    def begin_boot(self, boot: int, batch: RowBatch) -> None:
        """The marks of the boot before do not hold for this one: they would excuse a loss in it."""
        head = self.head
        head.boot, head.cut, head.closed = boot, 0, 0
        self.put_head(batch)
        if head.prev_index:  # what was given up before is found again at a start, as long as it has its room
            batch.forget_before(keys.entry_key(self.group, self._index.firsts[0]))

    def stage(self, appends: Sequence[Message], batch: RowBatch) -> bool:
        """Puts them into the batch; False when there is nothing that must be written now."""
        plan = Plan(appends, self._index.prev, self._index.last)
        head = self.head
        newest = plan.newest
        if newest is not None:
            head.term, head.vote, head.commit = newest.term, newest.vote, newest.commit
            head.commit = max(head.commit, head.prev_index)
        if plan.snapshot is not None:
            self._put_snapshot(plan.snapshot, batch)
        if not plan.must_write and not self.compacting:
            return False
        if plan.cut:
            self._put_cut(plan.cut, batch)
        compacts = self.compacting and self._put_compaction(self._compact_to, batch)
        if not plan.must_write and not compacts:
            return False
        if plan.staged:
            self._put_entries(plan.staged, batch)
            self.commands += sum(entries.payload_size for entries in plan.staged)
        if not plan.staged or compacts or plan.snapshot is not None:
            # Where the log begins is looked for under the head's own key, before any record is read.
            self.put_head(batch)
        return True

    def written(self) -> None:
        """The batch is durable."""
        if not self._records:
            return
        with self._mutex:
            self._index.firsts.extend(self._records)
            self._index.last = self.head.last_index
            if self._cut_through is not None:
                self._cut_through = None
                self._changes += 1
        self._records = []

    def put_head(self, batch: RowBatch) -> None:
        """Puts the head under its own key into the batch."""
        self.head.number += 1
        batch.put(self._head_key, seal(self._head_key, self.head.pack()))

    def _put_entries(self, staged: list[Entries], batch: RowBatch) -> None:
        """Puts consecutive entries into the batch, a record for each block, with the head behind the last one."""
        group, head = self.group, self.head
        head.number += 1
        head.last_index, head.last_term = staged[-1].last, staged[-1].last_term
        blocks: list[tuple[int, bytes | memoryview]] = []
        for entries in staged:
            if entries.blocks == 1:
                blocks.append((entries.first, entries.data))
            else:
                blocks += [(first, block) for first, _, _, _, _, block in entries.iter_blocks()]
        last = blocks.pop()
        for first, block in blocks:
            key = keys.entry_key(group, first)
            batch.put(key, Sealed(key, block))
        key = keys.entry_key(group, last[0])
        batch.put(key, Sealed(key, last[1], head.pack()))
        self._records = [first for first, _ in blocks]
        self._records.append(last[0])

    def _put_cut(self, index: int, batch: RowBatch) -> None:
        """Deletes what the log holds from ``index`` on, in the batch and, for readers, at once."""
        doomed, through = self._index.cut(index)
        for first in doomed:
            batch.delete(keys.entry_key(self.group, first))
        if through is not None:
            shorter = self._surely(lambda: self._reader.record(self.group, through)).slice(through, index)
            key = keys.entry_key(self.group, through)
            batch.put(key, seal(key, shorter.data))
        with self._mutex:
            self._cut_through = through
            self._index.truncate(index)
            self._changes += 1
        head = self.head
        head.cut = min(head.cut or index, index)

    def _put_compaction(self, index: int, batch: RowBatch) -> bool:
        """Gives up the records up to ``index``, with the batch and, for readers, at once. False: the system lacks what
        reading one of them takes, and a later batch does it."""
        head = self.head
        if index > self._index.last:
            raise StorageFailed(f"compacted up to {index}, and entries are replaced from {self._index.last + 1} on")
        holding, _ = self._index.span(self._index.position(index))
        try:
            first_term = self._reader.record(self.group, holding).first_term
        except StorageFailed as error:
            if is_passing(error):
                return False
            raise
        head.prev_index, head.prev_term = index, first_term
        head.commit = max(head.commit, index)
        with self._mutex:
            self._index.compact(index)
            self._changes += 1
        batch.forget_before(keys.entry_key(self.group, holding))
        return True

    def _put_snapshot(self, snapshot: Snapshot, batch: RowBatch) -> None:
        """The log is the snapshot from this batch on, for readers at once. Records that reach its index are deleted in
        the batch, since others come there; those before it are outside of the log."""
        head, index = self.head, snapshot.index
        reach = index if index > self._index.last else self._index.span(self._index.position(index))[0]
        if index < self._index.last:
            head.cut = min(head.cut or index + 1, index + 1)
        head.prev_index, head.prev_term = index, snapshot.term
        head.last_index, head.last_term = index, snapshot.term
        head.commit = max(head.commit, index)
        with self._mutex:
            firsts = self._index.install(index)
            self._cut_through = None
            self._changes += 1
        batch.forget_before(keys.entry_key(self.group, reach))
        for first in firsts[bisect_left(firsts, reach) :]:  # before it there are perhaps millions
            batch.delete(keys.entry_key(self.group, first))
        head.number += 1
        key = keys.entry_key(self.group, index)
        batch.put(key, seal(key, placeholder(snapshot).data, head.pack()))

    @property
    def compacting(self) -> bool:
        """Whether a compaction waits for a batch to be written with."""
        return self._compact_to > self.head.prev_index

    def compact(self, index: int) -> None:
        self._check()
        with self._mutex:
            if index > self._index.last:
                raise Unavailable
        self._compact_to = max(self._compact_to, index)

    def floor(self) -> GroupFloor:
        """The group's part of the floor, as of now."""
        return GroupFloor.of(self.head, self.conflict)

    def quarantine(self, conflict: Conflict) -> None:
        self._check()
        self.conflict = conflict
        self._keep(self.group, conflict)

    # --- reading

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        while True:
            self._check()
            with self._mutex:
                before = self._changes
            try:
                entries = gather(self._index, lo, hi, max_bytes, self._read, self._mutex)
            except StorageFailed as error:
                if self._has_changed_since(before):
                    continue  # a record that was looked for is needed no more
                if is_passing(error):
                    raise LogTemporarilyUnavailable(str(error)) from error
                raise self._fail(error) from error
            if not self._has_changed_since(before):
                return entries

    def entries_at_once(self, lo: int, hi: int, max_bytes: int, overhead: int) -> Entries:
        """See ``PagedGroupLog``."""
        with self._mutex:
            before = self._changes
        first = self._record_of(lo, hi)
        try:
            entries = self._many.entries(self.group, first, lo, hi, max_bytes, overhead)
        except OSError:
            entries = None  # what it is, and what comes of it, is seen when the records are read one by one
        if entries is None or self._has_changed_since(before):
            return self.entries(lo, hi, max_bytes)
        return entries

    def page_end(self, lo: int, hi: int, page_bytes: int) -> int | None:
        """See ``PagedGroupLog``."""
        end = self._many.behind(self.group, self._record_of(lo, hi), hi, page_bytes)
        return None if end is None or end <= lo else min(end, hi)

    def page(self, lo: int, hi: int, max_bytes: int, overhead: int) -> list[Entries]:
        """See ``PagedGroupLog``."""
        while True:
            with self._mutex:
                before = self._changes
            first = self._record_of(lo, hi)
            try:
                found = self._many.pieces(self.group, first, lo, hi, max_bytes, overhead) or []
            except OSError:
                found = []
            following = found[-1].last + 1 if found else lo
            while following < hi:
                found.append(self.entries_at_once(following, hi, max_bytes, overhead))
                following = found[-1].last + 1
            if not self._has_changed_since(before):
                return found

    def _record_of(self, lo: int, hi: int) -> int:
        """First index of the record that holds ``lo``. Raises ``Compacted`` or ``Unavailable`` unless all is there."""
        self._check()
        with self._mutex:
            self._index.check_range(lo, hi)
            return self._index.span(self._index.position(lo))[0]

    def _has_changed_since(self, before: int) -> bool:
        """Then what was read may be of a log that is no more; this happens seldom, so it is read anew."""
        with self._mutex:
            return self._changes != before

    def _read(self, first: int, last: int) -> Entries:
        entries = self._reader.record(self.group, first)
        if entries.last == last:
            return entries
        if entries.last > last and first == self._cut_through:
            return entries.slice(first, last + 1)
        raise self._reader.damaged(keys.entry_key(self.group, first), f"it ends at {entries.last} instead of {last}")

    def snapshot(self) -> Snapshot:
        self._check()
        return Snapshot()
