"""Mistakes in the row of segments: what is named, counted, carried along and removed, and how its files are written and
read without LevelDB (docs/design-storage.md, "A row of segments")."""

from tests.seeded_bugs.bug import Bug

LEVELDB = "raftpy/storage/leveldb/"
ROW = LEVELDB + "row.py"
PLACES = LEVELDB + "places.pyx"
FRAMING = LEVELDB + "wal_framing.pyx"
ROWS = "tests/storage/test_row.py"
AT_ONCE = "tests/storage/test_reading_at_once.py"
FRAMED = "tests/storage/test_wal_framing.py"

BUGS = (
    Bug(
        name="successor-not-named-before-its-first-batch",
        breaks="a segment is named before its first batch: a newest one that is not there is missed (row.py 2)",
        file=ROW,
        old="            old.made.write([(SUCCESSOR_KEY, pack_number(SUCCESSOR_KEY, number))])\n",
        new="            assert number > old.number\n",
        near=ROWS,
    ),
    Bug(
        name="segment-removed-before-its-bound-is-durable",
        breaks="a segment goes once the number of the lowest one needed is durable in the newest (row.py 4)",
        file=ROW,
        old="        if not newest.is_opened or lowest != self._lowest:\n",
        new="        if not newest.is_opened:\n",
        near=ROWS,
    ),
    Bug(
        name="segments-removed-newest-first",
        breaks="older segments go oldest first (row.py 4): what is left is one row without a gap",
        file=ROW,
        old="            self._doomed.extend(sorted(numbers))\n",
        new="            self._doomed.extend(sorted(numbers, reverse=True))\n",
        near=ROWS,
    ),
    Bug(
        name="lowest-segment-counted-without-what-others-need",
        breaks="a segment stays while any group needs a record in it (row.py)",
        file=ROW,
        old="live = self._places.live.get(number, 0) - (leaving if number == self._emptying.source else 0)\n",
        new="live = self._places.live.get(number, 0) - leaving\n",
        near="tests/storage/test_emptying.py",
    ),
    Bug(
        name="damaged-record-carried-along",
        breaks="a record that is not what was written gets no checksum of LevelDB's in another segment (emptying.py)",
        file=LEVELDB + "emptying.py",
        old="                        if unseal(key, value) is None:\n",
        new="                        if unseal(key, value) is None and not value:\n",
        near=ROWS,
    ),
    Bug(
        name="replaced-record-counted-as-needed",
        breaks="a segment goes when none of its records is needed any more (row.py): a replaced one is not",
        file=PLACES,
        old="            self.live[former.segment] -= former.size\n            former[0] = record[0]\n",
        new="            former[0] = record[0]\n",
        near="tests/storage/test_places.py",
    ),
    Bug(
        name="bytes-of-one-segment-taken-off-the-next",
        breaks="of each segment the bytes are counted that are still needed of it (places.pyx)",
        file=PLACES,
        old="        cdef uint64_t segment, size\n        while record < end:\n"
        "            segment = record.segment\n            size = 0\n",
        new="        cdef uint64_t segment\n        cdef uint64_t size = 0\n        while record < end:\n"
        "            segment = record.segment\n",
        near="tests/storage/test_places.py",
    ),
    Bug(
        name="deleted-record-back-after-a-start",
        breaks="a start reads the batches in the order in which they were written, deletions as well (reading.pyx)",
        file=LEVELDB + "reading.pyx",
        old="            places.drop(group, record.first)\n            continue\n",
        new="            continue\n",
        near=ROWS,
    ),
    Bug(
        name="seal-of-a-record-not-compared",
        breaks="a record that is not what was written under its key is given to nobody (sealing.pyx)",
        file=LEVELDB + "sealing.pyx",
        old="    if load32(seal) != crc:\n        return 0\n",
        new="    if load32(seal) != crc and not size:\n        return 0\n",
        near=AT_ONCE,
    ),
    Bug(
        name="batch-that-is-missing-not-missed",
        breaks="the writes of a file are numbered one by one: a batch that was taken out is missed (wal_batches.pyx)",
        file=LEVELDB + "wal_batches.pyx",
        old="        if self._number(8) != self.sequence:\n",
        new="        self.sequence = max(self.sequence, self._number(8))\n        if not self.sequence:\n",
        near="tests/storage/test_wal_batches.py",
    ),
    Bug(
        name="end-of-a-block-filled-with-what-was-there",
        breaks="what is too short for a record at the end of a block is zeros (LevelDB, doc/log_format.md)",
        file=FRAMING,
        old="        memset(frames.to, 0, <size_t> room)\n        frames.at += room\n",
        new="        frames.at += room\n",
        near=FRAMED,
    ),
    Bug(
        name="value-at-the-beginning-of-a-block-looked-for-at-the-end-of-the-last",
        breaks="a value is found again where it lies, behind the header of its block's first record (wal_framing.pyx)",
        file=FRAMING,
        old="        if pieces[i].value_size:\n            make_room(frames)\n        pieces[i].offset = frames.at\n",
        new="        pieces[i].offset = frames.at\n        if pieces[i].value_size:\n            make_room(frames)\n",
        near=FRAMED,
    ),
    Bug(
        name="entries-beyond-what-was-asked-for",
        breaks="of a log the entries are given that were asked for, and none behind them (stretch.pyx)",
        file=LEVELDB + "stretch.pyx",
        old="part.hi = <uint32_t> (filling.hi - header.first) if filling.hi < following else header.count\n",
        new="part.hi = header.count\n",
        near=AT_ONCE,
    ),
    Bug(
        name="page-without-an-end",
        breaks="a page has at most so many bytes, unless one record has more (many.py)",
        file=LEVELDB + "many.py",
        old="            stretch = find_stretch(self._places, group, first, hi, page_bytes, LENGTH_SIZE)\n",
        new="            stretch = find_stretch(self._places, group, first, hi, UNLIMITED, LENGTH_SIZE)\n",
        near=AT_ONCE,
    ),
    Bug(
        name="spare-descriptor-used-once",
        breaks="who has given up the spare descriptor takes one back as soon as its call is made (spare.py)",
        file=LEVELDB + "spare.py",
        old='                self._file = self._files.open(self._path, "read")\n',
        new="                assert self._file is None\n",
        near="tests/storage/test_passing.py",
    ),
    Bug(
        name="upgraded-without-a-look-at-the-floor",
        breaks="an upgrade refuses what a start of the former release would have refused (upgrade.py 3)",
        file=LEVELDB + "upgrade.py",
        old="        floor.check(identity.store_id, group, log.head, str(former))\n",
        new="",
        near="tests/storage/test_upgrade.py",
    ),
    Bug(
        name="floor-of-an-upgrade-before-its-copy",
        breaks="the new floor decides: before it the directory is one of format 2, whole (upgrade.py 4)",
        file=LEVELDB + "upgrade.py",
        old="    former, row_path = directory / FORMER, directory / SEGMENTS\n",
        new="    former, row_path = directory / FORMER, directory / SEGMENTS\n"
        "    replace(floor, format=FLOOR_FORMAT).write(files, directory)\n",
        near="tests/storage/test_upgrade.py",
    ),
)
