"""Mistakes in the runtime: who is told what, when, and what a pass must not forget."""

from tests.seeded_bugs.bug import Patch

PROPOSALS = "raftpy/runtime/pending_proposals.pyx"
READS = "raftpy/runtime/reads.pyx"
ROUNDS = "raftpy/runtime/rounds.pyx"
GROUP_WORK = "raftpy/runtime/group_work.pyx"
DRIVER = "raftpy/runtime/driver.py"
PAGED_VIEW = "raftpy/runtime/paged_view.py"

BUGS = (
    Patch(
        name="completion-out-of-order",
        breaks="writes are reported in the order of their submits (contracts/storage.py)",
        file="raftpy/storage/leveldb/writer.py",
        old="            self._callback(batch)\n",
        new="            self._callback(submits[len(submits) - 1 - position])\n",
    ),
    Patch(
        name="completion-told-to-another-group",
        breaks="what a core decides is sent under the id of its own group (docs/wire-format.md)",
        file=ROUNDS,
        old="            self.outbox.group = group.id\n            take_ready.written",
        new="            take_ready.written",
    ),
    Patch(
        name="slot-used-again-after-a-cancellation",
        breaks="a proposal that was cancelled before it was appended leaves no trace, and takes nobody's place",
        file=PROPOSALS,
        old="                kept_commands += commands[at:at + proposal.count]\n            at += proposal.count\n",
        new="                kept_commands += commands[at:at + proposal.count]\n                at += proposal.count\n",
    ),
    Patch(
        name="results-of-a-batch-to-the-wrong-proposer",
        breaks="each proposer gets what the state machine made of its own commands",
        file="raftpy/runtime/applying.pyx",
        old="                value = results[at]\n",
        new="                value = results[<Py_ssize_t> (self.position - self.cursor.start)]\n",
    ),
    Patch(
        name="single-commands-from-one-place",
        breaks="a state machine is given each entry's own command, also one by one (contracts/state_machine.py)",
        file="raftpy/runtime/applying.pyx",
        old="            payload += length\n            entry += 1\n",
        new="            entry += 1\n",
    ),
    Patch(
        name="lost-proposal-told-as-refused",
        breaks="of a command that stands in a log nobody can say that it will never happen",
        file=PROPOSALS,
        old="                self.give_up(proposal, LOST)\n",
        new=(
            "                from raftpy.contracts.errors import NotLeader\n"
            "                proposal.finish(FAILED, NotLeader())\n"
            "                self.finished.append(proposal)\n"
        ),
    ),
    Patch(
        name="lost-proposal-left-waiting",
        breaks="who waits for what may never be committed is told so when the leadership is lost",
        file=PROPOSALS,
        old="                self.give_up(proposal, LOST)\n",
        new="                kept.append(proposal)\n",
    ),
    Patch(
        name="term-of-the-first-leadership",
        breaks="a proposal is lost when the term it was appended in is not led any more",
        file=GROUP_WORK,
        old="        self.term = self.raw.raft.term\n",
        new="        if self.term == 0:\n            self.term = self.raw.raft.term\n",
    ),
    Patch(
        name="read-before-it-is-applied",
        breaks="a read waits until everything up to its read index is applied (thesis 6.4)",
        file=GROUP_WORK,
        old="            self.reads.release(self.applying.applied)\n",
        new="            self.reads.release(self.raw.raft.log.committed)\n",
    ),
    Patch(
        name="reads-share-one-context",
        breaks="a round confirms the reads that came in before it was sent (thesis 6.4), no later ones",
        file=READS,
        old="        self.number += 1\n",
        new="        self.number |= 1\n",
    ),
    Patch(
        name="read-answered-from-an-earlier-life",
        breaks="the answer to what an earlier start of the node asked is none to this one's question (reads.pyx, boot)",
        file="raftpy/runtime/group.py",
        old="2 * config.heartbeat_ms / 1000, host.boot)",
        new="2 * config.heartbeat_ms / 1000)",
    ),
    Patch(
        name="read-not-asked-again",
        breaks="a question without an answer is put again (reads.pyx)",
        file=READS,
        old="            self.requeue(now - self.retry_s)\n",
        new="            self.requeue(-INFINITY)\n",
    ),
    Patch(
        name="reads-left-at-the-stop",
        breaks="whoever waits gets Stopped (contract of stop)",
        file=READS,
        old="list(self.asked.values()) + self.confirmed:\n            self.fail(question.reads, error)\n",
        new="self.confirmed:\n            self.fail(question.reads, error)\n",
    ),
    Patch(
        name="cancelled-and-not-woken",
        breaks="whoever cancels a wait ends it (asyncio's contract of cancel)",
        file="raftpy/runtime/awaited.pyx",
        old="        self.finish(CANCELLED, msg)\n        self.wake_soon()\n",
        new="        self.finish(CANCELLED, msg)\n",
    ),
    Patch(
        name="slice-of-time-drops-the-rest",
        breaks="an entry is reported applied when the state machine has it (Figure 2, lastApplied)",
        file="raftpy/runtime/applying.pyx",
        old="            if self.over:\n                return None\n",
        new="            if self.over:\n                break\n",
    ),
    Patch(
        name="applied-twice-after-a-restart",
        breaks="a server applies each entry once, in order (Figure 2, lastApplied), also what a start finds committed",
        file="raftpy/runtime/applying.pyx",
        old="            given = self.apply_batch(first, make_commands(self.entries, self.position, count))\n",
        new=(
            "            if self.entries.first == 1:\n"
            "                self.apply_batch(first, make_commands(self.entries, self.position, count))\n"
            "            given = self.apply_batch(first, make_commands(self.entries, self.position, count))\n"
        ),
    ),
    Patch(
        name="commits-fed-twice",
        breaks="the commit feed gives each committed command once, in order",
        file="raftpy/runtime/commits.py",
        old="        while self._queue and self._queue[0].last < self._next:\n            self._drop_first()\n",
        new="",
    ),
    Patch(
        name="pass-forgets-a-group-with-work-left",
        breaks="what a pass has left is for the next one (passes.pyx)",
        file=ROUNDS,
        old="            if group.has_left():\n                kept.append(group)\n",
        new="            if group.moved:\n                kept.append(group)\n",
    ),
    Patch(
        name="pass-not-asked-for-by-what-is-left",
        breaks="a pass that has left something has another follow (passes.pyx)",
        file="raftpy/runtime/passes.pyx",
        old="        if self.wanted or self.rounds.has_left():\n",
        new="        if self.wanted:\n",
    ),
    Patch(
        name="timer-that-has-rung-still-counts",
        breaks="a node at rest keeps a timer for the tick at which something is due (ticks.pyx)",
        file="raftpy/runtime/passes.pyx",
        old="        self.timer = None\n        self.wake()\n",
        new="        self.wake()\n",
    ),
    Patch(
        name="ticks-go-on-after-the-stop",
        breaks="a stop leaves no timer behind",
        file=DRIVER,
        old="        self.ticks.stop()\n",
        new="",
    ),
    Patch(
        name="waiters-left-when-the-store-fails",
        breaks="whoever waits hears why a node has stopped by itself (driver.py)",
        file=DRIVER,
        old="        self._end_waits()\n        for group in self.groups.values():\n            group.close_feed()  #",
        new=(
            "        if self.failure is None:\n            self._end_waits()\n"
            "        for group in self.groups.values():\n            group.close_feed()  #"
        ),
    ),
    Patch(
        name="wait-for-a-leader-leaves-its-timer",
        breaks="a stop leaves no timer behind",
        file="raftpy/runtime/group.py",
        old="            await self._next_leader(waiter)\n        finally:\n            timer.cancel()\n",
        new="            await self._next_leader(waiter)\n        finally:\n            del timer\n",
    ),
    Patch(
        name="stop-waits-for-a-successor",
        breaks="a hand-over is given up after the shortest election timeout (leaving.py)",
        file="raftpy/runtime/leaving.py",
        old="        while self._going_on() and group.raw.leader in (0, group.config.id):\n",
        new="        while not group.closed and group.raw.leader in (0, group.config.id):\n",
    ),
    Patch(
        name="hand-over-refuses-for-ever",
        breaks="who goes on as leader takes proposals again (leaving.py)",
        file="raftpy/runtime/leaving.py",
        old="                    group.proposals.refuse(None)\n",
        new="                    group.proposals.resume_soon()\n",
    ),
    Patch(
        name="page-not-told-of",
        breaks="who waits for entries is told when they have been read (PagedStorageView)",
        file=PAGED_VIEW,
        old="            stream.awaited = False\n            self._read()\n",
        new="            stream.awaited = False\n",
    ),
    Patch(
        name="pace-never-over",
        breaks="who is fed at a pace is told when the next piece may be given (paged_view.py)",
        file=PAGED_VIEW,
        old="        stream.resting = False\n        self._read()\n",
        new="        stream.resting = False\n",
    ),
    Patch(
        name="page-of-other-entries",
        breaks="a page follows what was read before it (paged_view.py)",
        file=PAGED_VIEW,
        old="            self._read_page(stream, stream.begin, to_apply)\n",
        new="            self._read_page(stream, min(stream.begin + 1, stream.hi - 1), to_apply)\n",
    ),
)
