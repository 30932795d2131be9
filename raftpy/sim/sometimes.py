"""Rare branches that a set of runs must have reached, each by name: a test that never gets there proves nothing.

Whoever sees that one is reached says so to ``Run`` by its name; a name that is not listed here is an error. Nothing in
a node knows of them: what is looked at is what it says (its log, its core's trace, its datagrams, its answers) and what
it shows (its counters, its state before and after a step). What costs time is looked at in worlds with
``Plan.watched`` only.

To add one: give it a line here, call ``reached`` where it shows, and see ``raftpy sim run`` count it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raftpy.sim.faults import FAULTS

CORE = {
    "a candidate stood again without a winner": "Its election timeout ran out before anybody had won.",
    "a second candidate stood in one term": "The vote was split, or could have been.",
    "a pre-candidate gave up": "It was refused, or heard a leader, before it had raised its term.",
    "a candidate followed the winner of its term": "It heard a leader of the term in which it stood itself.",
    "a leader learnt of a later term": "It stepped down because somebody else had moved on.",
    "a leader lost its quorum": "It heard no majority for an election timeout, and stepped down by itself.",
    "a vote was refused for the log": "The candidate's log was behind the voter's.",
    "a pre-vote was refused for the log": "The same, before any term was raised.",
    "a vote was refused, given to another": "Each term has one vote.",
    "a vote was given again": "The same candidate asked again in the same term: the answer was lost, or its request "
    "repeated.",
    "a vote was refused by lease": "A leader had been heard within the shortest election timeout.",
    "a vote came too late": "Its candidate had won, or stood no more.",
    "a request for a vote came from an earlier term": "It was late, or its candidate behind.",
    "an election timeout grew with slow writes": "The node knew no leader, and waited longer than without them.",
    "an append was refused": "The follower's log did not hold the entry before it.",
    "a refusal named several runs of terms": "The logs differed in more than one term.",
    "a leader looked further back for an agreement": "A refusal moved back what it sends next.",
    "a leader probed a follower": "One append at a time, until it is known where the logs agree.",
    "the window of appends was full": "As many appends were under way to a follower as are allowed.",
    "a follower replaced entries": "What it held, uncommitted, gave way to another leader's.",
    "an entry of an earlier term was committed": "By way of an entry of the leader's own term (Figure 8 of the paper).",
    "an append came behind the commit index": "Late or repeated: it must not move anything back.",
    "a message of a former leader came": "Its receiver was in a later term.",
    "an answer of an earlier term came": "Its receiver was in a later term.",
    "a transfer was completed": "The target led within the time that the caller gave it.",
    "a transfer was aborted": "Its time was over, and the leader carried on.",
    "a transfer came to nothing in time": "The caller stopped waiting for it.",
    "a transfer's target had to catch up first": "It lacked entries when the transfer was asked for.",
    "a target was told to stand at once": "It held the whole log.",
    "a candidate stood by order of its leader": "It was voted for though that leader lived.",
    "a follower passed a transfer on": "Its leader was asked in its place.",
    "a proposal was refused during a transfer": "By a leader that was handing over.",
    "a limit of commands was set": "It stood in the table of members.",
    "a limit of commands was not set": "Leadership was lost, or the time ran out.",
    "a command was refused as too large": "The members had agreed on less.",
    "a priority was set": "It stood in the table of members.",
    "a priority was not set": "Leadership was lost, or the time ran out.",
    "the preferred member took over": "It led, with a higher priority than the others.",
    "an order to stand came to nothing": "It was lost, or what the one who was told stood with.",
    "a leader handed over by priority in vain, and did it again": "After a pause, to the same voter in the same term.",
    "a read was forwarded to the leader": "It was asked of a follower.",
    "a read was asked again": "The question, or its answer, was lost.",
    "a read waited for the first commit of a term": "Its leader was too new to know what is committed.",
    "a read's index was ahead of what was applied": "The read had to wait for its own node.",
    "a read found no leader": "It waited until one was known, or its time was over.",
}
"""What a group's core decided."""

RUNTIME = {
    "a client was sent on to the leader": "It was told who leads.",
    "no leader was known": "A client was told so.",
    "a proposal was refused as overloaded": "Too much was appended and not applied.",
    "a proposal was cancelled before it was appended": "It has left no trace.",
    "a proposal was cancelled after it was appended": "It may be committed all the same.",
    "a proposal had no answer in time": "Its outcome is unknown.",
    "a proposal was lost with the leadership": "Its outcome is unknown.",
    "a proposal was answered by a node that leads no more": "It had been committed before.",
    "a proposal of unknown outcome took effect": "Found among what was applied.",
    "a proposal of unknown outcome never took effect": "Not found there.",
    "a read was cancelled": "Its caller gave up.",
    "a read was not confirmed in time": "No quorum answered its leader.",
    "somebody who waited was told that the node stops": "A clean stop answered the rest.",
    "a swap found another version": "It has changed nothing.",
    "a process died with an operation under way": "Its client never heard.",
    "applying went on in a later pass": "The slice of time was over with entries left.",
    "commands were applied one by one": "The state machine takes no more at a time.",
    "the loop was found blocked": "The node's timer came so late that heartbeats were late; it said so.",
    "a write was found slow": "Longer than a heartbeat interval; the node said so.",
    "a write under way was found slow": "Longer than a second, and not done; the node said so.",
    "a leader that stopped handed over": "Another led before it was gone.",
    "a leader that stopped found nobody to take over": "The time for it was over, or no one could be reached.",
    "a node was stopped while it started": "Its start ended with ``Stopped``.",
    "a process died between two calls of its loop": "In the middle of what they do together.",
    "a process died while it started": "Before it took part.",
    "a process died while it stopped": "After it was asked to.",
    "a node stopped by itself": "Its store had failed under it.",
    "a node started during an outage": "No majority of the others was there.",
    "a new node waited for the word of others": "It said so after two seconds.",
    "a founding was cut off": "The process died before it knew whether it may take part.",
    "a new node joined those that take part": "Its store had promised nothing, and others had begun.",
    "a second start on a directory in use was refused": "The lock held.",
    "a leader handed over and went on": "It was asked to, and stayed.",
    "somebody waited for a leader": "None was known when they asked.",
    "a follower waited for what was read back": "It lacked what had left its leader's memory.",
    "the log could not be read for want of descriptors": "It was read a little later.",
    "a follower that nobody waited for was sent no more for a moment": "It is far behind, and fed at a pace.",
    "what a restart applies was read back": "Beside the loop, before it was applied.",
    "what was read back in a former term was given up": "Its reader leads no more, and may have given it up.",
}
"""What the driver made of it."""

STORAGE = {
    "a torn write was cut off": "A power failure had left the beginning of a record.",
    "space set aside was cut off": "The last life did not end in a clean stop.",
    "a power failure took unsynced writes": "All of them or some.",
    "a power failure left unsynced writes": "All of them.",
    "all power was lost at the end": "What was acknowledged was there again, and the replicas were alike.",
    "a process died between two operations of its disk": "So perhaps between a write and its sync.",
    "a process died between a write and its sync": "What it wrote last may be there after the next start, or not.",
    "a process died while a thread stood between two operations": "Of its disk, or between a sync and what is made of "
    "it.",
    "a write went to a thread": "The loop went on meanwhile.",
    "the loop went on in the middle of a write": "The thread stood between two operations of its disk.",
    "a thread in the middle of its work was waited for": "By who closes the store, or writes to it from the loop.",
    "several submits became one write": "They had waited for the one before.",
    "a store found its disk slow": "In mode auto: it writes in a thread from then on.",
    "a segment was full": "The next one, made beforehand, was written from then on.",
    "a truncation cut through a record": "The part of it that stays was written anew.",
    "a full disk stopped a node": "ENOSPC.",
    "a failed write or sync stopped a node": "EIO.",
    "the next segment could not be made": "No room, no descriptors: the one in use grew, and it was tried again.",
    "a start was refused for want of descriptors": "It says so, and nothing of damage.",
    "a store could not be opened": "Its disk failed meanwhile.",
    "a store could not be closed cleanly": "Its disk failed meanwhile: the next start must find all the same.",
    "a damaged store was refused": "Its node never starts again.",
    "a bit was turned over and nothing came of it": "The store was started, and held what it had held.",
    "an older copy was put back": "Its node has forgotten what it did since.",
}
"""What a store and its disk did."""

TRANSPORT = {
    "a datagram of an earlier life was dropped": "Its sender had started again.",
    "a datagram for an earlier life was dropped": "Its receiver had started again.",
    "a damaged datagram was dropped": "Its checksum did not hold.",
    "a probe was answered": "By a bare header.",
    "messages for an unheard peer were given up": "They had waited too long, or there was no room for more.",
    "a message went in fragments": "It was larger than a datagram.",
    "a message was on its way in fragments already": "It was not sent a second time.",
    "a message in fragments was given up": "Its receiver had started again, or nothing was acknowledged for too long.",
    "a message was put together from fragments": "All of them had come, in whatever order.",
    "a datagram arrived twice": "The network repeats.",
    "a datagram was damaged": "The network turned a bit over.",
    "a datagram was held back": "Some restarts may lie between its sending and its arrival.",
    "a socket's buffer overflowed": "What did not fit was lost.",
    "a sender was told that nobody is there": "The address refused.",
    "a datagram was too large for its path": "It vanished, and nobody was told.",
    "a path was found to take larger datagrams": "By probes, and they are used.",
    "a path was found to have become narrower": "By probes that were not answered, or fragments that did not arrive.",
    "large commands got through paths that had just become narrower": "To all nodes, within the stated time.",
    "a peer was found down, silent": "Nothing was heard of it for five seconds.",
    "a peer was found down, refusing": "Its address said so.",
    "a peer was found up again": "Without having started anew.",
    "a peer was found started again": "In a new life.",
    "an emptied disk was refused by the peers": "One of them knew the disk that it was before.",
    "an older copy was noticed": "A peer had heard a later life, or another from the same state.",
}
"""What passed between nodes, and what did not."""

SNAPSHOTS = {
    "a snapshot was asked for while one was taken": "Both have the same one.",
    "a machine without a state to give out was asked for a snapshot": "Its log is kept whole.",
    "commands were applied while a snapshot was written": "They are not in it.",
    "a process was to die while it wrote a snapshot": "Some operations of its disk later.",
    "a snapshot was abandoned by a crash": "The next start deletes what there is of it.",
    "no room for a snapshot": "ENOSPC: it was given up, and the node goes on.",
    "a snapshot failed with its disk": "EIO: the same.",
    "an old snapshot was deleted": "There are two that are newer.",
    "a cut was refused, the oldest snapshot was damaged": "It was read back before, and the log stays.",
    "a log was cut": "It begins behind a snapshot from then on.",
    "a commit feed asked for what was cut off": "Its reader has to begin behind a snapshot.",
    "a node started from a snapshot": "And went on with the log behind it.",
    "an older snapshot was used": "The newest was damaged.",
    "a node started without a state": "Its log was cut, and none of its snapshots is whole.",
    "a node got its state from another": "By a snapshot of an entry within its log, which stayed as it was.",
    "a snapshot was received": "From another node, because the leader's log begins behind this one's.",
    "a snapshot was received from where it had stopped": "The process had died, or its source, and what had come was "
    "there.",
    "a snapshot was received from the middle on": "A part of it was there.",
    "a snapshot was gone on with, though its leader had a newer one": "It was offered again when the follower had said "
    "that it has a part of it.",
    "a snapshot was not received": "Its source has it no more, or it is not what was offered.",
    "a snapshot came with a bit turned over": "Its receiver must find that, and ask again.",
    "a follower was brought up by a snapshot": "It is its log and its state.",
    "a group behind the first was brought up by a snapshot": "Of several that a host has.",
    "a snapshot came with other bytes of the same size": "Each of its checksums holds, and it is not what was offered.",
    "a process was to die while it received a snapshot": "Some operations of its disk later.",
    "a process was to die half way through a snapshot that it received": "A part of it is there in its next life.",
    "a process was to die while it gave a snapshot to another": "Some calls of its loop later.",
    "a process was to die while its machine was restored": "Its log begins at the snapshot by then, or does not.",
    "a machine on disk stood at its snapshot": "It was given what came after.",
    "a machine on disk was ahead of the snapshot": "It was given only what it had not.",
    "a machine on disk was restored from a snapshot": "No log and no configuration reached back to where it stood.",
}
"""What became of snapshots, and of the logs behind which they stand."""

INFLICTED = {f"fault: {name}": (function.__doc__ or "").partition("\n")[0] for name, function in FAULTS.items()}
"""Each kind of fault must have been inflicted."""

MEMBERS = {
    "a member was added": "As a learner, while the cluster ran.",
    "a learner was made a voter": "It had been heard, and had the log.",
    "a voter was made a learner": "It has the log still.",
    "a member was removed": "For ever.",
    "members were changed by joint consensus": "Several at once.",
    "a change of the members was refused": "Something was against it; nothing was appended.",
    "a change of the members had an unknown outcome": "Leadership was lost, or the time ran out.",
    "a leader that was to go handed over": "And sent on to the next.",
    "a node ended because it was removed": "It was told, by who had applied an entry behind that.",
}
SOMETIMES: dict[str, str] = {**CORE, **RUNTIME, **STORAGE, **TRANSPORT, **SNAPSHOTS, **MEMBERS, **INFLICTED}
"""Name to what it means."""


def unlisted(names: Iterable[str]) -> list[str]:
    """Names that are none of them."""
    return sorted(set(names) - SOMETIMES.keys())


LINES = {
    "the loop was blocked for": "the loop was found blocked",
    "a write to the store took": "a write was found slow",
    "a write to the store is under way": "a write under way was found slow",
    "is new and takes no part yet": "a new node waited for the word of others",
    "is down: nothing heard": "a peer was found down, silent",
    "refuses datagrams": "a peer was found down, refusing",
    "is up again": "a peer was found up again",
    "bytes only, no longer of": "a path was found to have become narrower",
    "has started again": "a peer was found started again",
    "lost the quorum": "a leader lost its quorum",
    "an old copy was put back": "an older copy was noticed",
    "one of them is a copy": "an older copy was noticed",
    "the log cannot be read for now": "the log could not be read for want of descriptors",
    "making segment": "the next segment could not be made",
    "was not received from node": "a snapshot was not received",
    "no whole snapshot reaches its log": "a node started without a state",
    "the log goes on from there": "a node got its state from another",
}
"""Part of a line of a node's log to what it says."""


class Watch(logging.Handler):
    """Counts what nodes write into their log, and keeps it off the screen; for ``with``.

    ``traced``: told of each event of the cores' trace, (event, its fields); None: the cores keep none, which is faster.
    """

    def __init__(
        self, reached: Callable[[str], None], traced: Callable[[str, Mapping[str, Any]], None] | None = None
    ) -> None:
        super().__init__(logging.DEBUG if traced else logging.INFO)
        self._reached = reached
        self._traced = traced
        self._logger = logging.getLogger("raftpy")
        self._core = logging.getLogger("raftpy.core")
        self._before = (self._logger.level, self._logger.propagate, self._core.level)

    def emit(self, record: logging.LogRecord) -> None:
        """A line was written."""
        if record.name == self._core.name:
            if self._traced is not None and isinstance(record.args, tuple):
                event, fields = record.args
                self._traced(str(event), fields)  # type: ignore[arg-type]
            return
        text = record.getMessage()
        for part, name in LINES.items():
            if part in text:
                self._reached(name)

    def __enter__(self) -> Watch:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._core.setLevel(logging.DEBUG if self._traced else logging.INFO)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        level, propagate, core = self._before
        self._logger.setLevel(level)
        self._logger.propagate = propagate
        self._core.setLevel(core)
