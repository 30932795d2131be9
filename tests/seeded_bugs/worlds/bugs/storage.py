"""Mistakes in the store: what is durable when it says so, and what a start makes of what a crash has left."""

from tests.seeded_bugs.bug import Patch

STORE = "raftpy/storage/leveldb/store.py"
WRITER = "raftpy/storage/leveldb/writer.py"
SEGMENT = "raftpy/storage/leveldb/segment.py"
ROW = "raftpy/storage/leveldb/row.py"
GROUP_LOG = "raftpy/storage/leveldb/group_log.py"

BUGS = (
    Patch(
        name="batch-not-synced",
        breaks="what is reported written is durable (contracts/storage.py; Figure 2, persistent state)",
        file=SEGMENT,
        old="        self._file.write_durably(data, begin)\n",
        new="        self._file.write_at(data, begin)\n",
    ),
    Patch(
        name="completion-of-a-failed-batch",
        breaks="a write that failed is never reported as done (contracts/storage.py)",
        file=WRITER,
        old="            self._post(self._failed, error)\n            return False\n",
        new=(
            "            self._post(self._done, submits)\n"
            "            self._post(self._failed, error)\n            return False\n"
        ),
    ),
    Patch(
        name="completion-before-its-write",
        breaks="what is reported written is durable (contracts/storage.py)",
        file=WRITER,
        old="""        try:
            self._timed_write(together, is_large(together))
        except StorageFailed as error:
            self._post(self._failed, error)
            return False
        self._post(self._done, submits)
        return True
""",
        new="""        self._post(self._done, submits)
        try:
            self._timed_write(together, is_large(together))
        except StorageFailed as error:
            self._post(self._failed, error)
            return False
        return True
""",
    ),
    Patch(
        name="completions-of-two-writes-swapped",
        breaks="writes are reported in the order of their submits (contracts/storage.py)",
        file=WRITER,
        old="        self._under_way -= len(submits)\n        self._report(submits)\n",
        new=(
            "        self._under_way -= len(submits)\n"
            "        late = self.__dict__.setdefault('_late', [])\n"
            "        late.append(submits)\n"
            "        self._loop.call_soon(lambda: self._report(late.pop()))\n"
        ),
    ),
    Patch(
        name="failed-write-leaves-the-handle-alive",
        breaks="after a failed write or sync nothing more is written by this handle (decision 6)",
        file=STORE,
        old="            raise self._fail(error) from error\n\n    def _commit_batch(self)",
        new="            raise StorageFailed(str(error)) from error\n\n    def _commit_batch(self)",
    ),
    Patch(
        name="head-written-before-its-records",
        breaks="a batch is there whole or not at all (decision 6): the head stands behind the last record",
        file=GROUP_LOG,
        old="        blocks: list[tuple[int, bytes | memoryview]] = []\n        for entries in staged:\n",
        new=(
            "        self.put_head(batch)\n        batch.write()\n        batch.clear()\n"
            "        blocks: list[tuple[int, bytes | memoryview]] = []\n        for entries in staged:\n"
        ),
    ),
    Patch(
        name="head-behind-records-not-counted",
        breaks="the newest head counts, which their numbers tell (head.pyx)",
        file=GROUP_LOG,
        old="        head.number += 1\n        head.last_index, head.last_term",
        new="        head.last_index, head.last_term",
    ),
    Patch(
        name="pin-not-synced",
        breaks="a peer's pin is durable before anything it says is believed (decision 5)",
        file=STORE,
        old="            self._row.put(keys.PINS, seal(keys.PINS, pack_pins(pins)), sync=True)\n",
        new="            self._batch.put(keys.PINS, seal(keys.PINS, pack_pins(pins)))\n",
    ),
    Patch(
        name="torn-record-taken-for-whole",
        breaks="a record whose checksum does not hold was never acknowledged, and is cut off (wal.py)",
        file="raftpy/storage/leveldb/wal_records.pyx",
        old="        if stop <= block_end and checksum_holds(at, offset, stop):\n",
        new="        if stop <= block_end:\n",
    ),
    Patch(
        name="torn-tail-not-cut",
        breaks="what a crash leaves of a write under way is cut off before another segment follows it (segment.py)",
        file=SEGMENT,
        old="            if self.end < file.size():\n",
        new="            if self.end < file.size() and not self._torn:\n",
    ),
    Patch(
        name="replaced-records-not-deleted",
        breaks="an entry that conflicts is deleted, with all that follow it (Figure 2, AppendEntries 3)",
        file=GROUP_LOG,
        old=(
            "        doomed, through = self._index.cut(index)\n"
            "        for first in doomed:\n"
            "            batch.delete(keys.entry_key(self.group, first))\n"
        ),
        new=(
            "        doomed, through = self._index.cut(index)\n"
            "        for first in doomed:\n"
            "            assert first >= index\n"
        ),
    ),
    Patch(
        name="cut-mark-not-written",
        breaks="a log that a leader has cut below the floor says so in its head (floor.py 5)",
        file=GROUP_LOG,
        old="        head.cut = min(head.cut or index, index)\n",
        new="        assert head.cut <= head.last_index\n",
    ),
    Patch(
        name="floor-before-the-database",
        breaks="the new boot is durable in the database before the floor asks for it (floor.py 2)",
        file=STORE,
        old="        self._commit_batch()\n        self._write_floor(closed=False)\n",
        new="        self._write_floor(closed=False)\n        self._commit_batch()\n",
    ),
    Patch(
        name="closed-in-the-floor-first",
        breaks="a floor that says closed is exact: the closing mark is durable before it (floor.py 6)",
        file=STORE,
        old="""                    log.put_head(self._batch)
                self._commit_batch()
""",
        new="""                    log.put_head(self._batch)
                self._write_floor(closed=True)
                self._commit_batch()
""",
    ),
    Patch(
        name="floor-not-synced",
        breaks="the floor is replaced by a file that is durable (floor.py)",
        file="raftpy/storage/leveldb/floor.py",
        old="            file.sync()\n",
        new="            file.size()\n",
    ),
    Patch(
        name="boot-rides-in-the-first-write",
        breaks="a boot is durable before anything is sent under it (decision 5)",
        file=STORE,
        old="        self._commit_batch()\n        self._write_floor(closed=False)\n",
        new="        self._write_floor(closed=False)\n",
    ),
    Patch(
        name="boot-counter-not-raised",
        breaks="the counter orders the incarnations of one disk (decision 5)",
        file="raftpy/storage/identity.py",
        old="    counter = (boot >> BOOT_SHIFT) + 1\n",
        new="    counter = max(boot >> BOOT_SHIFT, 1)\n",
    ),
    Patch(
        name="vote-written-only-with-a-new-term",
        breaks="votedFor is on stable storage before the answer leaves (Figure 2, persistent state)",
        file=GROUP_LOG,
        old="            head.term, head.vote, head.commit = newest.term, newest.vote, newest.commit\n",
        new=(
            "            if newest.term != head.term:\n"
            "                head.term, head.vote = newest.term, newest.vote\n"
            "            head.commit = newest.commit\n"
        ),
    ),
    Patch(
        name="must-sync-ignored",
        breaks="term and vote are on stable storage before the answer leaves (Figure 2): must_sync says so",
        file="raftpy/storage/records.py",
        old="            elif append.must_sync:\n                self.must_write = True\n",
        new="",
    ),
    Patch(
        name="group-twice-in-a-batch",
        breaks="a batch of several submits may have a group several times (records.py)",
        file="raftpy/storage/records.py",
        old="    if len(batch) == 1:\n        return batch\n",
        new="    if len(batch) <= 2:\n        return batch\n",
    ),
    Patch(
        name="half-made-directory-taken-for-a-stranger",
        breaks="a first start may lose its power within each step, and goes on from there (ownership.py)",
        file="raftpy/storage/leveldb/ownership.py",
        old="    return beginning is not None and found is not None and beginning.startswith(found)\n",
        new="    return beginning is not None and found is not None and found == beginning\n",
    ),
    Patch(
        name="failed-store-keeps-its-lock",
        breaks="a store that is closed lets go of its directory, also when it has failed (contracts/storage.py)",
        file=STORE,
        old="            self._release()\n\n    def _in_child",
        new="            if self._failure is None:\n                self._release()\n\n    def _in_child",
    ),
    Patch(
        name="lower-bound-not-written",
        breaks="a segment goes once the number of the lowest one needed is durable in the newest (row.py 4)",
        file=ROW,
        old="        if not newest.is_opened or lowest != self._lowest:\n",
        new="        if not newest.is_opened:\n",
    ),
    Patch(
        name="live-bytes-of-all-segments-taken-for-those-that-leave",
        breaks="a segment stays while any group needs a record in it (row.py)",
        file=ROW,
        old="live = self._places.live.get(number, 0) - (leaving if number == self._emptying.source else 0)\n",
        new="live = self._places.live.get(number, 0) - leaving\n",
    ),
)
