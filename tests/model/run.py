"""Carries out a schedule on pairs of core and model, over a network that both sides share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import raftcore
from raftcore import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    MessageType,
    StateType,
)
from raftcore.wire.codec import decode_message, encode_message
from tests.model.pair import Difference, Flight, Pair
from tests.model.schedule import Cluster, Step
from tests.model.values import HardState, Message

MOST_IN_FLIGHT = 200
MOST_PAST = 100
ROUNDS = 8  # of one `settle`
SIZES = (0, 1, 8, 8, 20, 60, 200)


@dataclass
class Done:
    """A step that was carried out, for the report."""

    number: int
    step: Step
    what: str


class Run:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.pairs = [
            Pair(cluster.settings, cluster.boot, id, cluster.keep_application) for id in cluster.ids
        ]  # fmt: skip
        self.flying: list[Flight] = []
        self.past: list[Flight] = []  # delivered or lost, some of which will come again
        self.isolated: set[int] = set()
        self.clock = 1
        self.proposed = 0
        self.history: deque[Done] = deque(maxlen=20)

    @property
    def calls(self) -> int:
        return sum(pair.calls for pair in self.pairs)

    def perform(self, steps: Sequence[Step], numbers: Sequence[int]) -> None:
        """Difference when one is found; numbers: of the steps in the whole schedule."""
        for number, step in zip(numbers, steps, strict=True):
            done = Done(number, step, "")
            self.history.append(done)
            pair = self.pairs[step.node % len(self.pairs)]
            done.what = f"node {pair.id}: {step.kind}"
            done.what += STEPS[step.kind](self, pair, step.a, step.b) or ""

    # The network

    def send(self, core: raftcore.Message, model: Message) -> None:
        if core.to not in self.cluster.ids:
            return
        if self.cluster.through_codec:
            core = self.carry(core)
        self.flying.append(Flight(core, model))
        if len(self.flying) > MOST_IN_FLIGHT:
            self.remember(self.flying.pop(0))

    def carry(self, message: raftcore.Message) -> raftcore.Message:
        """What arrives of it, encoded and decoded."""
        kind, body = encode_message(message)
        arrived = decode_message(kind, body)
        arrived.from_ = arrived.from_ or message.from_
        arrived.to = arrived.to or message.to
        if arrived != message:
            raise Difference(message.to, "a message through the codec", repr(arrived), repr(message))
        return arrived

    def remember(self, flight: Flight) -> None:
        self.past.append(flight)
        if len(self.past) > MOST_PAST:
            del self.past[: MOST_PAST // 2]

    def arrive(self, flight: Flight) -> str:
        self.remember(flight)
        if self.isolated & {flight.core.from_, flight.to}:
            return f" lost {flight.describe()}"
        result = self.pairs[flight.to - 1].step(flight)
        return f" {flight.describe()} {result if result[0] == 'raised' else ''}"

    def take(self, at: int) -> Flight | None:
        return self.flying.pop(at % len(self.flying)) if self.flying else None

    # What a driver does

    def ready(self, pair: Pair, crash_at: int = 0) -> str:
        """Takes the next Ready and does what it says. Plain form: advance() is a step of its own.

        crash_at: 1 right after it was taken, 2 once it is written, 3 once its messages are sent; 0 not at all.
        """
        if pair.out is not None:
            pair.out = None
            pair.both("advance")
            return " advance"
        if not pair.core.has_ready():
            return " nothing"
        core, model = pair.ready()
        if crash_at == 1:
            return self.crash(pair, 0) + " with a Ready in hand"
        plain = not pair.settings["async_storage_writes"]
        if plain:
            pair.write(model.hard_state, model, model.must_sync)
            if crash_at == 2:
                return self.crash(pair, 0) + " before sending"
        for sent, expected in zip(core.messages, model.messages, strict=True):
            if sent.to == LOCAL_APPEND_THREAD:
                pair.appends.append((sent, expected))
            elif sent.to == LOCAL_APPLY_THREAD:
                pair.applies.append((sent, expected))
            else:
                self.send(sent, expected)
        if crash_at == 3:
            return self.crash(pair, 0) + " before applying"
        if plain:
            pair.apply(model.committed)
            pair.out = core, model
        return f" {core!r}"

    def write(self, pair: Pair) -> bool:
        """The oldest piece of append work, then its responses."""
        if not pair.appends:
            return False
        core, model = pair.appends.popleft()
        self.write_down(pair, core, model)
        self.respond(pair, core, model)
        return True

    def write_down(self, pair: Pair, core: raftcore.Message, model: Message) -> None:
        pair.check_message(core, model)
        hard = HardState(model.term, model.vote, model.commit)
        pair.write(hard if any(hard) else None, model, model.must_sync)

    def apply(self, pair: Pair) -> bool:
        if not pair.applies:
            return False
        core, model = pair.applies.popleft()
        pair.check_message(core, model)
        pair.apply(model.entries)
        self.respond(pair, core, model)
        return True

    def respond(self, pair: Pair, core: raftcore.Message, model: Message) -> None:
        for sent, expected in zip(core.responses or (), model.responses, strict=True):
            if sent.to == pair.id:
                pair.step(Flight(sent, expected))
            else:
                self.send(sent, expected)

    def crash(self, pair: Pair, kept: int) -> str:
        """Loses what was not written. Of the writes that were under way some may have got through, in order."""
        for core, model in list(pair.appends)[: kept % (len(pair.appends) + 1)]:
            self.write_down(pair, core, model)
        if kept & 1024:
            pair.store.durable = pair.store.hard
        pair.start()
        return f" crash, starts life {pair.life}"

    def leading(self, pair: Pair, choice: int) -> Pair:
        """Mostly a node that leads, sometimes this one."""
        leaders = [other for other in self.pairs if other.core.state == StateType.StateLeader]
        return leaders[choice // 8 % len(leaders)] if leaders and choice % 8 else pair


# The steps


def deliver(run: Run, pair: Pair, a: int, b: int) -> str:
    # Mostly in order: a protocol that only ever sees chaos gets nowhere.
    flight = run.take(0 if b % 4 else a)
    return run.arrive(flight) if flight else " nothing"


def drop(run: Run, pair: Pair, a: int, b: int) -> str:
    flight = run.take(a)
    if flight is None:
        return " nothing"
    run.remember(flight)
    return f" {flight.describe()}"


def repeat(run: Run, pair: Pair, a: int, b: int) -> str:
    if not run.flying:
        return " nothing"
    return run.arrive(run.flying[a % len(run.flying)])


def stale(run: Run, pair: Pair, a: int, b: int) -> str:
    return run.arrive(run.past[a % len(run.past)]) if run.past else " nothing"


def ready(run: Run, pair: Pair, a: int, b: int) -> str:
    return run.ready(pair, crash_at=1 + b % 3 if a % 80 == 0 else 0)


def write(run: Run, pair: Pair, a: int, b: int) -> str:
    if not run.write(pair):
        return " nothing"
    if a % 4:
        return ""
    ticks = b % (3 * run.cluster.settings["election_tick"])
    pair.both("report_write", ticks)
    return f", which took {ticks} ticks"


def apply(run: Run, pair: Pair, a: int, b: int) -> str:
    return "" if run.apply(pair) else " nothing"


def settle(run: Run, pair: Pair, a: int, b: int) -> None:
    settle_but(run)


def settle_but(run: Run, *lost: MessageType) -> None:
    """Until there is nothing to do any more, or ROUNDS are over; messages of these types are lost."""
    for _ in range(ROUNDS):
        for other in run.pairs:
            for _ in range(4):
                if not other.core.has_ready() and other.out is None:
                    break
                run.ready(other)
            while run.write(other) or run.apply(other):
                pass
        due, run.flying = run.flying, []
        for flight in due:
            if flight.core.type in lost:
                run.remember(flight)
            else:
                run.arrive(flight)
        if not run.flying and not any(other.core.has_ready() for other in run.pairs):
            return


def tick(run: Run, pair: Pair, a: int, b: int) -> str:
    run.clock += b % 12
    count = 1 + a % 3 if b % 16 else 1 + a % 30
    pair.both("tick", run.clock, count)
    return f" {count} times at {run.clock}"


def tick_all(run: Run, pair: Pair, a: int, b: int) -> None:
    run.clock += 10
    for other in run.pairs:
        other.both("tick", run.clock)


def propose(run: Run, pair: Pair, a: int, b: int) -> str:
    pair = run.leading(pair, a)
    commands = []
    for i in range(1 + (a >> 8) % 3):
        run.proposed += 1
        size = SIZES[(b >> (3 * i)) % len(SIZES)]
        commands.append((b"%d." % run.proposed).ljust(size, b".")[:size])
    run.clock += b % 3
    return f" at {pair.id}: {commands} {pair.both('propose', commands, run.clock if b & 64 else 0)}"


def change(run: Run, pair: Pair, a: int, b: int) -> str:
    pair = run.leading(pair, a)
    changes = []
    for i in range(1 + (b % 7) // 3):
        part = b >> (8 + 6 * i)
        who = 8 if a & 4096 else 8 + 6 * i  # now and then several changes of one node
        changes.append(ConfChange(ConfChangeType(part % 4), 1 + (b >> who + 2) % len(run.cluster.ids)))
    transition = ConfChangeTransition((b >> 4) % 3)
    proposal: ConfChange | ConfChangeV2 = ConfChangeV2(tuple(changes), transition)
    if a >> 9 & 3 == 0:
        proposal = ConfChangeV2()
    elif len(changes) == 1 and a & 2048:
        proposal = changes[0]
    expected = (pair.core.conf_index, 1, 0)[a >> 13 & 3] if a >> 13 & 7 < 3 else None
    return f" at {pair.id}: {proposal} {pair.both('propose_conf_change', proposal, run.clock, expected)}"


def campaign(run: Run, pair: Pair, a: int, b: int) -> None:
    pair.both("campaign")


def transfer(run: Run, pair: Pair, a: int, b: int) -> str:
    pair, to = run.leading(pair, a), 1 + b % len(run.cluster.ids)
    pair.both("transfer_leader", to)
    return f" at {pair.id} to {to}"


def forget(run: Run, pair: Pair, a: int, b: int) -> None:
    pair.both("forget_leader")


def read(run: Run, pair: Pair, a: int, b: int) -> str:
    pair = run.leading(pair, a) if a & 32 else pair
    return f" at {pair.id}: {pair.both('read_index', b'r%d' % (a % 1000), run.clock if b % 2 else 0)}"


def unreachable(run: Run, pair: Pair, a: int, b: int) -> str:
    pair, of = run.leading(pair, a), 1 + b % len(run.cluster.ids)
    pair.both("report_unreachable", of)
    return f" at {pair.id}: {of}"


def started(run: Run, pair: Pair, a: int, b: int) -> str:
    pair, of = run.leading(pair, a), 1 + b % len(run.cluster.ids)
    pair.both("report_started", of)
    return f" at {pair.id}: {of}"


def in_vain(run: Run, pair: Pair, a: int, b: int) -> str:
    """Election timeouts of a leader, whose followers wait: nobody hears that he should stand."""
    pair, timeouts = run.leading(pair, a), 1 + b % 50
    for _ in range(timeouts):
        pair.both("tick", run.clock, run.cluster.settings["election_tick"])
        settle_but(run, MessageType.MsgTimeoutNow)
    return f" at {pair.id}: {timeouts} election timeouts"


def snapshot_status(run: Run, pair: Pair, a: int, b: int) -> str:
    pair, of = run.leading(pair, a), 1 + b % len(run.cluster.ids)
    pair.both("report_snapshot", of, bool(a & 512))
    return f" at {pair.id}: {of}"


def offer_snapshot(run: Run, pair: Pair, a: int, b: int) -> str:
    """One of its snapshots, mostly for somebody to whom another is on its way. Where nobody waits for one, the leader's
    log is cut, so that somebody will."""
    offers = [(other, member.id) for other in run.pairs for member in other.model.members() if member.snapshot]
    if not offers and a % 4:
        return compact(run, run.leading(pair, a), b % 3, 1)
    pair, of = offers[a % len(offers)] if offers else (run.leading(pair, a), 1 + b % len(run.cluster.ids))
    snapshots = [*pair.store.older, pair.store.newest]
    snapshot = snapshots[b % len(snapshots)]
    return f" at {pair.id}: {of} is offered {snapshot.index}: {pair.both('offer_snapshot', of, snapshot)}"


def compact(run: Run, pair: Pair, a: int, b: int) -> str:
    store, app = pair.store, pair.application
    if app.index > store.newest.index and app.index <= store.last:
        store.older = [*store.older, store.newest][-3:] if store.newest.index else []
        store.newest = app.snapshot(store.term(app.index), store.time(app.index))
    index = max(store.before, store.newest.index - a % 4)
    # Only what a snapshot covers; a little beyond what is applied must be refused.
    result = pair.both("compact", index if b % 8 else store.newest.index + 1)
    if result[0] == "gave" and b % 8:
        store.compact(index)
    elif result[0] == "gave":
        raise Difference(pair.id, "compaction beyond what is applied", result, "refused")
    return f" up to {index}: {result}"


def crash(run: Run, pair: Pair, a: int, b: int) -> str:
    return run.crash(pair, a)


def isolate(run: Run, pair: Pair, a: int, b: int) -> None:
    run.isolated.add(pair.id)


def heal(run: Run, pair: Pair, a: int, b: int) -> None:
    run.isolated.clear()


def pin_timeout(run: Run, pair: Pair, a: int, b: int) -> None:
    pair.both("set_randomized_election_timeout", 1 + a % (2 * run.cluster.settings["election_tick"]))


def clone(run: Run, pair: Pair, a: int, b: int) -> None:
    """The core goes on as a copy of itself."""
    before = pair.core.fingerprint()
    pair.core = pair.core.clone()
    if pair.core.fingerprint() != before:
        raise Difference(pair.id, "fingerprint of a clone", pair.core.fingerprint(), before)
    pair.compare("after clone()")


def snapshot_availability(run: Run, pair: Pair, a: int, b: int) -> None:
    pair.store.available = a % 3 != 0


def entries_at_hand(run: Run, pair: Pair, a: int, b: int) -> None:
    pair.store.entries_at_hand = a % 3 != 0
    pair.store.in_time = b % 2 != 0


def report_entries(run: Run, pair: Pair, a: int, b: int) -> str:
    """As the driver does once they are read; or, now and then, too early."""
    pair = run.leading(pair, a)
    if b % 4:
        pair.store.entries_at_hand = pair.store.in_time = True
    pair.both("report_entries")
    return f" at {pair.id}"


def priorities(run: Run, pair: Pair, a: int, b: int) -> None:
    if run.cluster.settings.get("priorities"):
        ids = run.cluster.ids
        witnesses = run.cluster.settings.get("witnesses", ())
        pair.both("set_members", witnesses, {id: (a >> id) % 3 for id in ids})


STEPS: dict[str, Callable[[Run, Pair, int, int], str | None]] = {
    action.__name__: action
    for action in (
        deliver, drop, repeat, stale, ready, write, apply, settle, tick, tick_all, propose, change, campaign, transfer,
        forget, read, unreachable, snapshot_status, compact, crash, isolate, heal, pin_timeout, clone,
        snapshot_availability, entries_at_hand, report_entries, priorities, offer_snapshot, started, in_vain,
    )
}  # fmt: skip
