"""Breadth first over every state of a small cluster: every order of delivery, loss, repetition, timeout and crash.

A state is one node state for each node, the set of messages that were sent and may still matter, and the past. States
that differ by a renaming of the nodes are joined. Breadth first, so that the first violation found is a shortest one.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from raftcore.testing.memory_storage import MemoryStorage
from tests.explore import rules
from tests.explore.member import Stage
from tests.explore.naming import Numbers
from tests.explore.network import Network
from tests.explore.past import Past, Pasts
from tests.explore.path import complete_path
from tests.explore.redundant import Redundant
from tests.explore.scope import Scope
from tests.explore.table import Event, Local, Step, Table

State = tuple[tuple[Local, ...], int, Past, int]  # node states, messages, past, number


class Found(Exception):
    """A violation."""

    def __init__(self, broken: str, number: int, event: Event | None) -> None:
        super().__init__(broken)
        self.broken = broken
        self.number = number
        """The state it was found in, or out of which the event leads."""
        self.event = event


class Outgrown(Exception):
    """A message that its receiver should ignore for ever was taken by it: states must not be joined without it."""


@dataclass
class Result:
    """How an exploration ended."""

    states: int
    transitions: int
    depth: int
    seconds: float
    cpu_seconds: float
    complete: bool
    broken: str | None
    path: list[Event]
    locals: int
    messages: int


class Search:
    """One exploration.

    Args:
        scope: what it covers.
        drop: leave out of a state the messages that cannot matter any more; else every message stays.
        storage: makes each node's empty storage.
    """

    def __init__(
        self, scope: Scope, *, drop: bool = True, storage: Callable[[], MemoryStorage] = MemoryStorage
    ) -> None:
        self.scope = scope
        self.drop = drop
        self.numbers = Numbers(scope)
        self.network = Network(scope, self.numbers)
        self.table = Table(scope, self.numbers, self.network, storage)
        self.redundant = Redundant(self.table)
        self.pasts = Pasts(len(self.numbers.renamings))
        self.visited: set[bytes] = set()
        self.parents = array("Q")
        self.causes = array("L")
        self.events: dict[Event, int] = {}
        self.limited = bool(scope.crashes or scope.heartbeats or scope.transfers or scope.reads or scope.change)
        self.next: list[State] = []
        self.initial: tuple[Local, ...] = ()
        self.transitions = 0
        self.depth = 0
        self.checked = 0  # node states whose outgrown messages have been tried

    # -- the search --------------------------------------------------------------------------------------------------

    def run(
        self, max_seconds: float | None = None, report: Callable[[Search, int, float], None] | None = None
    ) -> Result:
        """Explores until all is seen, a rule is broken, or the time is up. report: called now and then."""
        begin = reported = time.monotonic()
        cpu = time.process_time()
        broken, path, complete = None, [], False
        try:
            self.start()
            everywhere = self.network.everywhere
            while self.next or everywhere != self.network.everywhere:
                if not self.next:  # what may arrive everywhere has grown: once more from the start
                    everywhere = self.network.everywhere
                    self.begin_anew()
                level, self.next = self.next, []
                number = len(self.parents) - len(level)
                for done, state in enumerate(level):
                    self.expand(number + done, state)
                    if done % 256 == 0:
                        now = time.monotonic()
                        if max_seconds is not None and now - begin > max_seconds:
                            raise TimeoutError
                        if report is not None and now - reported > 10:
                            reported = now
                            report(self, len(level) - done, now - begin)
                self.depth += 1
                self.check_outgrown(self.checked)
            self.check_outgrown(0)
            complete = True
        except TimeoutError:
            pass
        except Found as found:
            broken, path = found.broken, self.path(found.number)
            path = complete_path(self.table, self.initial, path + ([found.event] if found.event is not None else []))
        return Result(
            states=len(self.parents),
            transitions=self.transitions,
            depth=self.depth,
            seconds=time.monotonic() - begin,
            cpu_seconds=time.process_time() - cpu,
            complete=complete,
            broken=broken,
            path=path,
            locals=len(self.table.locals),
            messages=len(self.network.messages),
        )

    def start(self) -> None:
        """The state before anything has happened."""
        first = self.initial = tuple(self.table.first())
        joined = 0
        for local in first:
            joined ^= local.joined
        past = self.pasts.of()
        state = (first, 0, past, joined ^ past.joined)
        self.visited.add(self.numbers.canonical(state[3]))
        self.note(0, None, state)
        for local in first:
            self.check(local, state)

    def begin_anew(self) -> None:
        """Forgets all states; what the core was asked stays known."""
        self.visited, self.parents, self.causes = set(), array("Q"), array("L")
        self.transitions = self.depth = 0
        self.start()

    def note(self, parent: int, event: Event | None, state: State) -> None:
        self.parents.append(parent)
        self.causes.append(0 if event is None else self.events.setdefault(event, len(self.events) + 1))
        self.next.append(state)

    def expand(self, number: int, state: State) -> None:
        """Takes every step out of a state."""
        locals_, messages, past, _ = state
        to = self.network.to
        for local in locals_:
            steps = local.steps
            for step in steps if steps is not None else self.table.own_steps(local):
                self.take(number, state, local, step, past)
            waiting = (messages | self.network.everywhere) & to[local.slot + 1] & ~local.inert
            deliveries = local.deliveries
            while waiting:
                low = waiting & -waiting
                waiting ^= low
                message = low.bit_length() - 1
                step = deliveries[message] if message in deliveries else self.table.delivery(local, message)
                if step is not None:
                    self.take(number, state, local, step, past)
            if self.limited:
                for name, argument in self.table.limited_events(local, past):
                    step = self.table.step(local, name, argument)
                    if step is not None and self.table.does_something(local, step):
                        self.take(number, state, local, step, self.pasts.after(past, name))

    def take(self, number: int, state: State, local: Local, step: Step, past: Past) -> None:
        """The state that a step leads to, if it is new."""
        locals_, messages, before, joined = state
        target = step.target
        if step.broken is not None:
            raise Found(step.broken, number, step.event)
        new = step.sent & ~messages & ~self.network.everywhere
        if target is not local:
            if self.drop and target.standing is not local.standing:
                gone = messages & target.standing.outgrown
                if gone:
                    messages ^= gone
                    joined ^= self.network.number(gone)
            at = local.slot
            locals_ = (*locals_[:at], target, *locals_[at + 1 :])
            joined ^= local.joined ^ target.joined
            if target.committed != local.committed:
                past = self.pasts.after_commit(past, target.committed, target.state.term)
        if new and self.drop:
            for receiver in locals_:
                new &= ~receiver.standing.outgrown
        if new and self.drop:
            new |= self.echoes(locals_, messages | new)
        elif self.drop and target is not local:
            new = self.echoes(locals_, messages)
        if new:
            joined ^= self.network.number(new)
            messages |= new
        elif target is local and past is before and not step.reads:
            return
        if self.drop and past.spent[0] == self.scope.crashes:
            gone = 0
            for receiver in locals_:
                gone |= self.redundant.by(receiver, locals_, messages)
            if gone:
                joined ^= self.network.number(gone)
                messages ^= gone
        if past is not before:
            joined ^= past.joined ^ before.joined
        self.transitions += 1
        if step.won or step.reads:
            self.check_step(number, step, messages, past)
        key = self.numbers.canonical(joined)
        if key in self.visited:
            return
        self.visited.add(key)
        after = (locals_, messages, past, joined)
        self.note(number, step.event, after)
        if target is not local or past is not before:
            self.check(target, after)

    def echoes(self, locals_: tuple[Local, ...], messages: int) -> int:
        """What the nodes can add to the network without a change of theirs, in any number of steps.

        It is taken for sent at once. No state of the nodes is lost or gained by that: more messages allow all that
        fewer did, for none needs to be delivered, and those steps can be done at any time.
        """
        outgrown = 0
        for local in locals_:
            outgrown |= local.standing.outgrown
        before = messages
        to = self.network.to
        while True:
            new = 0
            for local in locals_:
                new |= self.table.echo(local, messages & to[local.slot + 1])
            new &= ~messages & ~outgrown & ~self.network.everywhere
            if not new:
                return messages & ~before
            messages |= new

    # -- the rules ---------------------------------------------------------------------------------------------------

    def check_step(self, number: int, step: Step, messages: int, past: Past) -> None:
        """Of a step: a term has one leader, and a read's index covers what it must."""
        others = self.network.claims.get(step.won, 0) & messages & ~step.sent
        if others:
            raise Found(f"S1: term {step.won} has had another leader before node {step.event[0]}", number, step.event)
        for index, context in step.reads:
            broken = rules.read_covers(index, context, past)
            if broken is not None:
                raise Found(broken, number, step.event)

    def check(self, changed: Local, state: State) -> None:
        """Of a new state: the node that has changed by itself, beside each other one, and all beside the past."""
        locals_, _, past, _ = state
        broken = changed.broken
        for other in locals_:
            if past not in other.compared:
                other.compared.add(past)
                broken = broken or rules.node_and_past(other.member, past)
            if other is not changed and other.index not in changed.compared:
                changed.compared.add(other.index)
                other.compared.add(changed.index)
                broken = broken or rules.two_nodes(changed.member, other.member, changed.state, other.state, self.scope)
        if broken is None and self.scope.witness:
            broken = rules.payloads_kept([local.state for local in locals_], past, self.scope)
        if broken is not None:
            raise Found(broken, len(self.parents) - 1, None)

    def check_outgrown(self, begin: int) -> None:
        """Tries on the core that outgrown messages do nothing: at the node states from ``begin`` on, all together.

        Raises:
            Outgrown: the explorer's reasoning is wrong, or a rule of the core that it rests on: explore again with
                ``drop=False``.
        """
        if not self.drop:
            return
        for local in self.table.locals[begin:]:
            untried = local.standing.outgrown & ~local.tried
            if not untried or local.broken is not None:
                continue
            local.tried |= untried
            stage = Stage(self.scope, local.member)
            for message in self.network.of_set(untried):
                outcome = stage.run("deliver", message)
                if outcome.broken is not None or outcome.sent or outcome.reads:
                    raise Outgrown(f"not ignored in {local.state}: {message}")
            if self.table.intern(stage.member) is not local:
                raise Outgrown(f"not ignored in {local.state}: one of {list(self.network.of_set(untried))}")
        self.checked = len(self.table.locals)

    # -- the way to a state ------------------------------------------------------------------------------------------

    def path(self, number: int) -> list[Event]:
        """The events that lead to a state, from the very first start."""
        names = {number: event for event, number in self.events.items()}
        found: list[Event] = []
        while number:
            found.append(names[self.causes[number]])
            number = self.parents[number]
        return found[::-1]
