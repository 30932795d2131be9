"""What an exploration says: lines a person can follow."""

from __future__ import annotations

import sys
from typing import Any

from raftcore import Entries, Message, MessageType, StateType
from raftcore.check.protocol_state import ProtocolState
from tests.explore.scope import Scope
from tests.explore.search import Result, Search
from tests.explore.table import Event, Local, Table

ROLES = {
    StateType.StateFollower: "follower",
    StateType.StateCandidate: "candidate",
    StateType.StateLeader: "leader",
    StateType.StatePreCandidate: "pre-candidate",
}
WORDS = {
    "campaign": "has waited long enough, and stands for election",
    "heartbeat": "sends heartbeats",
    "leader_timeout": "has led for another election timeout",
    "silence": "has not heard of its leader for an election timeout",
    "propose": "takes a command",
    "write": "has its oldest write on the disk",
    "crash": "crashes, and starts again",
    "change": "takes a configuration change",
    "transfer": "is told to hand over to node {}",
    "unreachable": "is told that node {} cannot be reached",
    "read": "is asked for read {}",
}


def entries_in_words(entries: Entries | None) -> str:
    return "" if entries is None else " entries [" + " ".join(f"{e.index}:{e.term}" for e in entries) + "]"


def message_in_words(message: Message) -> str:
    """``MsgApp 1->2 term 1 after 0:0 entries [1:1] commit 0``: entries and places in the log are index:term."""
    kind = MessageType(message.type)
    words = f"{kind.name} {message.from_}->{message.to} term {message.term}"
    if kind == MessageType.MsgApp:
        words += f" after {message.index}:{message.log_term}{entries_in_words(message.entries)} commit {message.commit}"
    elif kind in (MessageType.MsgVote, MessageType.MsgPreVote):
        words += f" with a log up to {message.index}:{message.log_term}"
    elif kind == MessageType.MsgHeartbeat:
        words += f" commit {message.commit}"
    elif kind in (MessageType.MsgAppResp, MessageType.MsgReadIndexResp):
        words += f" index {message.index}"
    if message.reject:
        words += " refused"
        words += f", hint {message.reject_hint}:{message.log_term}" if kind == MessageType.MsgAppResp else ""
    if message.context is not None:
        words += f" context {message.context!r}"
    return words


def state_in_words(state: ProtocolState, table: Table | None = None, local: Local | None = None) -> str:
    """``node 1: leader in term 1, voted 1, knows leader 1, log [1 1], committed 1``: the log is its terms."""
    words = (
        f"node {state.id}: {ROLES[StateType(state.role)]} in term {state.term}, voted {state.vote}, "
        f"knows leader {state.leader}, log [{' '.join(str(term) for term, _, _ in state.log.entries)}], "
        f"committed {state.log.committed}"
    )
    if state.votes:
        words += ", votes " + " ".join(f"{node}:{'yes' if granted else 'no'}" for node, granted in state.votes)
    for progress in state.progress:
        if progress.id != state.id:
            words += f", of {progress.id}: match {progress.match} next {progress.next}"
    if state.transferee:
        words += f", hands over to {state.transferee}"
    if local is not None and local.member.writes:
        words += f", {len(local.member.writes)} writes wait"
    if table is not None and local is not None and table.scope.durable_matters:
        hard = local.member.storage.hard_state
        words += f", on its disk term {hard.term}, vote {hard.vote}, entries up to {local.member.storage.last_index}"
    return words


def event_in_words(event: Event, table: Table) -> str:
    node, name, argument = event
    if name == "deliver":
        message = table.network.messages[argument]
        return f"node {node} receives {message_in_words(message) if message is not None else argument}"
    text = argument.decode() if isinstance(argument, bytes) else argument
    return f"node {node} {WORDS[name].format(text)}"


def story(search: Search, result: Result) -> list[str]:
    """The path to a violation, event by event, and the nodes' states at its end."""
    table = search.table
    nodes = {local.state.id: local for local in search.initial}
    lines = []
    for number, event in enumerate(result.path, 1):
        lines.append(f"{number:3}. {event_in_words(event, table)}")
        step = table.step(nodes[event[0]], *event[1:])
        if step is not None:
            nodes[event[0]] = step.target
            lines += [f"       sends {message_in_words(message)}" for message in table.network.of_set(step.sent)]
            lines += [f"       read {context.decode()} is answered: {index}" for index, context in step.reads]
    return lines + ["at the end:"] + ["  " + state_in_words(local.state, table, local) for local in nodes.values()]


def summary(scope: Scope, result: Result) -> str:
    """One line: what was covered, how large it was, how long it took, how it ended."""
    end = "complete" if result.complete else "a rule is broken" if result.broken else "incomplete"
    return (
        f"{scope.describe()}: {result.states:,} states, {result.transitions:,} transitions, depth {result.depth}, "
        f"{result.seconds:.1f} s ({result.cpu_seconds:.1f} s of CPU); {result.locals:,} node states, "
        f"{result.messages:,} messages: {end}"
    )


def progress(search: Search, left: int, seconds: float) -> None:
    """A line on standard error now and then."""
    words: dict[str, Any] = {
        "depth": search.depth,
        "states": len(search.parents),
        "transitions": search.transitions,
        "left here": left,
        "found for the next": len(search.next),
    }
    print(
        f"  {seconds:.0f} s: " + ", ".join(f"{name} {value:,}" for name, value in words.items()),
        file=sys.stderr,
        flush=True,
    )
