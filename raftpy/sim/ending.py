"""What must hold of a whole run, once everything is well again and nobody asks for anything any more.

What was acknowledged is there, at the place that its client was told; what a node answered from what it had applied was
the state at that index; nobody is left waiting, and nothing that was needed on the way is still kept.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from raftcore.wire.codec import crc32c
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import KeyValueStore
from raftpy.replicated.kv import Kind as Effect
from raftpy.replicated.kv_commands import MAX_VERSION
from raftpy.sim.checks import Checks
from raftpy.sim.clients import READ, WRITE, Operation, key_bytes, value_of
from raftpy.sim.cluster import Life
from raftpy.sim.linearizability import Input, Kind, Output, Verdict, check
from raftpy.sim.linearizability import Operation as Entry
from raftpy.sim.outcome import Broken
from raftpy.sim.readers import missing
from raftpy.transport.identity.refusal import MOST_REFUSED

MOST_TIMERS = 12
"""Of one process in which nobody waits for anything: the node's own, its transport's, and those of a hand-over."""
ASKED_TO_READ = Input(Kind.READ)
MOST_WAITING = 8
"""Datagrams that have arrived in a quiet cluster and were not read yet, for each peer."""


def linearizable(history: Sequence[Operation], commands: Sequence[Mapping[int, bytes]]) -> None:
    """Raises :class:`Broken` unless the history is linearizable (stale reads apart), and known to be.

    ``commands``: for each group, index to the command that was applied there. They say what has become of an operation
    whose client does not know: it took effect at its index, or never. That makes the judgement stricter, and short.
    """
    entries: list[Entry] = []
    unknown: list[Operation] = []
    for operation in history:
        if operation.refused or operation.stale:
            continue
        if operation.answered_s is None:
            unknown.append(operation)
            continue
        version = operation.version if operation.kind == READ else operation.index
        if operation.kind == READ:
            output = Output(True, operation.found or None, version)
        elif operation.kind == WRITE or operation.found:
            output = Output(True, version=version)
        else:
            version = operation.there
            output = Output(False, version=version)
        entries.append(entry(operation, operation.answered_at, output))
    seen = told_of(entries) if unknown else {}
    effects = {group: written_at(commands[group]) for group in sorted({operation.group for operation in unknown})}
    end = max((operation.answered_at for operation in history), default=0) + 1
    for operation in unknown:
        if index := effects[operation.group].get(operation.value, 0):
            # It took effect before whoever first saw it, or what came after it, was answered.
            told = (at for version, at in seen.get((operation.group, operation.key), ()) if version >= index)
            answered = min(told, default=end)
            if answered < operation.asked_at:
                raise Broken("linearizable", f"somebody was told of {operation.text()} before it was asked for")
            entries.append(entry(operation, answered, Output(True, version=index)))
    result = check(entries)
    if result.verdict is Verdict.VIOLATION:
        raise Broken("linearizable", result.violation.text if result.violation else "")
    if result.verdict is Verdict.UNDECIDED:
        raise Broken("a history that can be judged", f"the search was given up after {result.steps:,} steps")


def told_of(entries: Iterable[Entry]) -> dict[Hashable, list[tuple[int, int]]]:
    """Of each key: a version, and when somebody was told of it."""
    seen: dict[Hashable, list[tuple[int, int]]] = {}
    for one in entries:
        if one.output is not None and one.output.version is not None and one.returned is not None:
            seen.setdefault(one.key, []).append((one.output.version, int(one.returned)))
    return seen


def durable(history: Iterable[Operation], commands: Sequence[Mapping[int, bytes]], lives: Sequence[Life]) -> None:
    """Each write that was acknowledged was applied at the index that its client was told, and every node has it.

    ``commands``: for each group, index to the command that was applied there, on any node.
    """
    everywhere = [
        min((life.applied.get(group, 0) for life in lives), default=MAX_VERSION) for group in range(len(commands))
    ]
    for operation in history:
        if operation.kind == READ or operation.refused or operation.answered_s is None:
            continue
        group, index = operation.group, operation.index
        if index not in commands[group] or crc32c(commands[group][index]) != operation.checksum:
            raise Broken("acknowledged and there", f"{operation.text()} was acknowledged at {index}, and is not there")
        if everywhere[group] < index:
            (node, *_) = (life.process.node for life in lives if life.applied.get(group, 0) < index)
            raise Broken(
                "acknowledged and there",
                f"{operation.text()} was acknowledged at {index}, and node {node} does not have it",
            )


def entry(operation: Operation, answered: int, output: Output) -> Entry:
    """An operation as the checker takes it."""
    if operation.kind == READ:
        asked = ASKED_TO_READ
    elif operation.kind == WRITE:
        asked = Input(Kind.WRITE, operation.value)
    else:
        expected, version = operation.expected or None, operation.version or None
        asked = Input(Kind.SWAP, operation.value, expected=expected, version=version)
    return Entry(operation.client, (operation.group, operation.key), operation.asked_at, answered, asked, output)


def written_at(commands: Mapping[int, bytes]) -> dict[int, int]:
    """What was written, each value once, to its index; a swap that found another version wrote nothing."""
    store, found = KeyValueStore(), {}
    for index in sorted(commands):
        result = store.apply(index, commands[index])
        if result.kind is Effect.WRITTEN:
            _, _, value, _ = kv_commands.decode(index, commands[index])
            found[value_of(value)] = index
    return found


def stale_reads(history: Iterable[Operation], commands: Sequence[Mapping[int, bytes]]) -> None:
    """Each read of what a node had applied gave the state at the index up to which it had: a prefix of the log, and
    never one behind what the same client saw of the same node before.

    ``commands``: for each group, index to the command that was applied there.
    """
    reads = [
        operation
        for operation in history
        if operation.stale and operation.answered_s is not None and not operation.refused
    ]
    newest: dict[tuple[int, int, int, int], int] = {}
    for read in reads:
        place = (read.client, read.group, read.node, read.boot)
        if read.index < newest.setdefault(place, read.index):
            raise Broken("stale reads go forward", f"{read.text()} of node {read.node} went back to {read.index}")
        newest[place] = read.index
    for group, of_group in enumerate(commands):
        store, at = KeyValueStore(), 0
        ordered = sorted(of_group)
        for read in sorted((read for read in reads if read.group == group), key=lambda read: read.index):
            while at < len(ordered) and ordered[at] <= read.index:
                store.apply(ordered[at], of_group[ordered[at]])
                at += 1
            stored = store.get(key_bytes(read.key))
            there = (0, 0) if stored is None else (value_of(stored.value), stored.version)
            if (read.found, read.version) != there:
                raise Broken(
                    "stale reads are a prefix",
                    f"{read.text()} of node {read.node} at {read.index} gave {read.found:x} of version {read.version}, "
                    f"and the log up to there gives {there[0]:x} of version {there[1]}",
                )


def unrest(life: Life, checks: Checks, lost: Collection[int] = ()) -> str | None:
    """What a node still keeps, or whom it keeps waiting, though nobody has asked for anything for a while.

    For a member that is ``lost`` an open datagram is kept, and given up once a second, as long as there is a leader.
    """
    driver, transport, storage = life.host.driver, life.host.transport, life.storage
    assert driver is not None
    for group_id, group in driver.groups.items():
        waiting: list[tuple[str, Any]] = [
            ("proposals", len(group.proposals)),
            ("reads", group.reads.waiting),
            ("callers that wait for a leader", len(group._leader_waiters)),
            ("appends that were not submitted", len(group.work.appends)),
            ("entries that were not applied", group.applying.pending),
            ("a core with work that nobody takes", group.raw.has_ready()),
            ("entries that the feed has not given", len(missing(life, group_id, checks.groups[group_id].commands))),
        ]
        for what, number in waiting:
            if number:
                return f"group {group_id}: {what}: {int(number)}"
    return _kept(life, driver, transport, storage, lost)


def _kept(life: Life, driver: Any, transport: Any, storage: Any, lost: Collection[int]) -> str | None:
    peers = transport._peers.values()
    there = [peer for peer in peers if peer.id not in lost]
    waiting = [peer for peer in transport._waiting if peer.id not in lost]
    running = sum(not task.done() for task in (*life.programs, *life.readers))
    kept = [
        ("writes under way", storage._writer._under_way, 0),
        ("writes that were not taken up", len(driver.rounds.written), 0),
        ("peers whose silence nobody has looked at", len(driver.rounds.unreachable), 0),
        ("peers for whom something waits", len(waiting), 0),
        ("full datagrams", sum(len(peer.ready) for peer in peers), 0),
        ("frames in open datagrams", sum(peer.builder.frames for peer in there), 0),
        ("datagrams that were not read", len(transport.socket), MOST_WAITING * len(peers)),
        ("incarnations refused", max((len(peer.refused) for peer in peers), default=0), MOST_REFUSED),
        ("tasks", len(life.process.loop.tasks) - running, 0),
        ("timers", life.process.timers, MOST_TIMERS),
    ]
    for what, number, most in kept:
        if number > most:
            return f"{what}: {number}"
    return None


def unknown_outcomes(history: Iterable[Operation], commands: Sequence[Mapping[int, bytes]]) -> tuple[int, int]:
    """Of the writes whose client was never told: how many were applied all the same, and how many were not."""
    there: list[set[int]] = [set(map(crc32c, of_group.values())) for of_group in commands]
    unknown = [
        operation.checksum in there[operation.group]
        for operation in history
        if operation.kind != READ and not operation.refused and operation.answered_s is None and operation.checksum
    ]
    return sum(unknown), len(unknown) - sum(unknown)
