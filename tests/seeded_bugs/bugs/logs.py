"""Mistakes in how the log is kept in memory."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="replaced-slice-still-cached",
        breaks="two logs with the same entry are the same up to it (log matching, Figure 3): what was replaced is "
        "not sent",
        file="raftcore/log/log_entries.pyx",
        old="        if first <= self._last:\n            self._cache.forget_from(first)\n",
        new="        if first <= self._last:\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_slices.py",
    ),
    Bug(
        name="slice-cut-short-still-cached",
        breaks="two logs with the same entry are the same up to it (log matching, Figure 3)",
        file="raftcore/log/slices.pyx",
        old="            if self.keys[i].end and self.keys[i].hi > index:\n",
        new="            if self.keys[i].end and self.keys[i].end > index:\n",
        near="tests/unit/test_log_slices.py",
    ),
    Bug(
        name="run-of-a-replaced-entry-stays",
        breaks="an entry has the term it was created in (paper 5.3)",
        file="raftcore/log/term_runs.pyx",
        old="    while runs.count and runs_last(runs).first >= index:\n",
        new="    while runs.count > 1 and runs_last(runs).first > index:\n",
        found_by=("tables", "model"),
        near="tests/core/test_invariants.py",
    ),
    Bug(
        name="chunk-refilled-while-in-use",
        breaks="a committed entry never changes (state machine safety, Figure 3): its bytes neither",
        file="raftcore/log/window.pyx",
        old="    if window.open != NULL and window.open.refs == 1:\n        window.open.used = 0\n",
        new="    if window.open != NULL and window.open.refs <= 2:\n        window.open.used = 0\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_memory.py",
    ),
    Bug(
        name="payload-of-the-neighbour",
        breaks="the command of an entry is the one its leader received (paper 5.3)",
        file="raftcore/log/log_entries.pyx",
        old="                    lengths + LENGTH_SIZE * <size_t> header.count + payload_span(at, 0, skip),\n",
        new="                    lengths + LENGTH_SIZE * <size_t> header.count,\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_model.py",
    ),
    Bug(
        name="log-time-goes-back",
        breaks="log time never decreases, across leaders too (docs/design.md)",
        file="raftcore/log/log_entries.pyx",
        old="                last_time = max(last_time, header.time_ms)\n",
        new="                last_time = header.time_ms\n",
        near="tests/core/test_log_time.py",
    ),
    Bug(
        name="hint-below-the-run",
        breaks="the hint is the last place where the logs can agree (end of paper 5.3)",
        file="raftcore/log/log_entries.pyx",
        old="    index = runs_at(&log._terms, low).first - 1\n",
        new="    index = runs_at(&log._terms, low).first\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_terms.py",
    ),
    Bug(
        name="evicted-before-applied",
        breaks="entries stay in memory until they are durable and applied (docs/design.md)",
        file="raftcore/log/log.pyx",
        old="        cdef index_t through = min(self.applied, self.unstable.offset - 1)\n",
        new="        cdef index_t through = self.applied\n",
        near="tests/unit/test_log_memory.py",
    ),
    Bug(
        name="clone-forgets-references",
        breaks="a clone goes its own way (decision 8): what it shares lives as long as either",
        file="raftcore/log/window.pyx",
        old="            copy.slots[i].chunk.refs += 1\n",
        new="            copy.slots[i].chunk.refs += 1 if i else 0\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_memory.py",
    ),
    Bug(
        name="clone-without-what-is-in-flight",
        breaks="a clone has the whole state (decision 8)",
        file="raftcore/membership/progress.pyx",
        old="            memcpy(copy.ring + first, self.ring, (self.count - first) * sizeof(Inflight))\n",
        new="",
        found_by=("tables", "model"),
        near="tests/unit/test_inflights.py",
    ),
    Bug(
        name="block-over-two-kinds",
        breaks="a block holds entries of one term, time and kind (decision 3)",
        file="raftcore/log/slices.pyx",
        old="        while (walk.at + header.count < bound and ref_kind(ref) == header.kind\n"
        "               and total + ref_length(ref) <= UINT32_MAX):\n",
        new="        while (walk.at + header.count < bound\n"
        "               and total + ref_length(ref) <= UINT32_MAX):\n",
        found_by=("tables", "model"),
    ),
    Bug(
        name="storage-trusted-blindly",
        breaks="entries read back are those that were written (decision 6): another term is a damaged store",
        file="raftcore/log/log_entries.pyx",
        old="        conflict = self.find_conflict(entries)\n"
        "        if conflict:\n"
        '            raise InvariantViolation(f"storage',
        new='        conflict = 0\n        if conflict:\n            raise InvariantViolation(f"storage',
        near="tests/unit/test_log_storage.py",
    ),
    Bug(
        name="applies-nothing-after-a-restart",
        breaks="what is to be applied is asked for again once the storage has read it (PagedStorageView)",
        file="raftcore/log/log.pyx",
        old='it lacked: it is asked again."""\n        self.awaits_entries = False\n',
        new='it lacked: it is asked again."""\n        pass\n',
        found_by=("tables", "model"),
        near="tests/core/test_entries_at_hand.py",
    ),
)
