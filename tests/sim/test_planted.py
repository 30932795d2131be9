"""Each check of the simulator can fail: what must not be is done on purpose, and found under the name of the check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from raftcore.base.types import MessageType, StateType
from raftcore.values.message import Message
from raftcore.wire.codec import crc32c
from raftpy.contracts.errors import WrongIdentity
from raftpy.contracts.storage import AppendBatch
from raftpy.replicated import kv_commands
from raftpy.runtime import commits, founding, group, opening
from raftpy.runtime.commits import Commit
from raftpy.runtime.driver import Driver
from raftpy.runtime.founding import Founding, Judgement, Outcome
from raftpy.runtime.group_calls import GroupCalls
from raftpy.sim import at_rest, clients, ending
from raftpy.sim.checks import Checks
from raftpy.sim.clients import READ, WRITE, Client, Operation
from raftpy.sim.cluster import Cluster
from raftpy.sim.data_directory import newest_log
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFile
from raftpy.sim.glance import Glance
from raftpy.sim.machine import Machine
from raftpy.sim.outcome import Broken
from raftpy.sim.plan import Fault, Load, NetworkFaults, Plan
from raftpy.sim.promises import undurable
from raftpy.sim.run import run
from raftpy.sim.wire import Wire
from raftpy.sim.world import World
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.lock import DirectoryLock
from raftpy.storage.leveldb.store import LevelDBStorage
from raftpy.storage.leveldb.writer import Writer
from raftpy.transport.datagram.base import DatagramTransport
from raftpy.transport.identity import gate, rules
from raftpy.transport.identity.rules import Verdict

QUIET = Plan(seed=3, duration_s=0.6, watched=True, load=Load(clients=5, think_s=0.005))
"""A world in which nothing goes wrong."""


def failing(plan: Plan = QUIET) -> str:
    """By which check the world fails."""
    failure = run(plan).failure
    return "none" if failure is None else failure.check


def test_the_world_in_which_all_this_is_done_is_clean_without_it() -> None:
    assert failing() == "none"


# --- In a world -------------------------------------------------------------------------------------------------------


def test_linearizable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: GroupCalls, *, timeout: float) -> int:
        return 1 << 60

    monkeypatch.setattr(GroupCalls, "read_index", at_once)
    load = Load(clients=8, keys=1, think_s=0.001, follower_reads=1.0, stale_reads=0.0)
    assert failing(replace(QUIET, load=load, network=NetworkFaults(delay_s=(0.001, 0.01)))) == "linearizable"


def test_read_index(monkeypatch: pytest.MonkeyPatch) -> None:
    read_index = GroupCalls.read_index

    async def earlier(self: GroupCalls, *, timeout: float) -> int:
        return await read_index(self, timeout=timeout) - 1

    monkeypatch.setattr(GroupCalls, "read_index", earlier)
    assert failing() == "read index"


def test_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(self: GroupCalls, *, timeout: float) -> int:
        await asyncio.sleep(1.3 * timeout)
        return 0

    monkeypatch.setattr(GroupCalls, "read_index", late)
    assert failing() == "an answer in time"


def test_acknowledged_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Client._take

    def elsewhere(self: Client, operation: Operation, result: Any) -> None:
        take(self, operation, result)
        operation.index += 1

    monkeypatch.setattr(Client, "_take", elsewhere)
    assert failing() == "acknowledged and there"


def test_stale_reads_are_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "value_of", lambda stored: int.from_bytes(stored[:8], "little") + 1)
    load = Load(clients=8, keys=1, think_s=0.001, stale_reads=1.0, writes=0.3, swaps=0.0)
    assert failing(replace(QUIET, load=load)) == "stale reads are a prefix"


def test_a_write_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    propose = GroupCalls.propose

    def deaf(self: GroupCalls, command: bytes, *, timeout: float) -> Any:
        if command == kv_commands.put(b"last", b""):
            return asyncio.sleep(1e3)
        return propose(self, command, timeout=timeout)

    monkeypatch.setattr(GroupCalls, "propose", deaf)
    assert failing(replace(QUIET, settle_s=2.0)) == "a write in time"


def a_timer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Driver._on_heard

    def again(self: Driver, node_id: int) -> None:
        heard(self, node_id)
        for _ in range(20):
            self.clock.call_later(1e6, lambda: None)

    monkeypatch.setattr(Driver, "_on_heard", again)


def full_datagrams_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    hello = DatagramTransport._look_at

    def keep(self: Any, peer: Any) -> None:
        hello(self, peer)
        self._kept = [*getattr(self, "_kept", ()), peer]
        self._waiting += self._kept

    monkeypatch.setattr(DatagramTransport, "_look_at", keep)
    monkeypatch.setattr(DatagramTransport, "_flush_waiting", lambda self: None)


def one_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    announce = group.Group._announce_leader

    def forget(self: group.Group) -> None:
        announce(self)
        self._leader_waiters.append(asyncio.get_running_loop().create_future())

    monkeypatch.setattr(group.Group, "_announce_leader", forget)


@pytest.mark.parametrize("plant", [a_timer_each_time, full_datagrams_are_kept, one_who_waits])
def test_comes_to_rest(monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    plant(monkeypatch)
    assert failing() == "comes to rest"


def test_nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    shut = Driver._shut

    def leave_a_timer(self: Driver, **how: bool) -> None:
        shut(self, **how)
        self.clock.call_later(1e6, lambda: None)

    monkeypatch.setattr(Driver, "_shut", leave_a_timer)
    assert failing() == "nothing left behind"


def nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    end = group.Group.end_waits
    monkeypatch.setattr(group.Group, "end_waits", lambda self: end(self) if self.host.failure is None else None)


def the_lock_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    close = LevelDBStorage.close
    monkeypatch.setattr(LevelDBStorage, "close", lambda self: close(self) if self._failure is None else None)


@pytest.mark.parametrize("plant", [nobody_is_told, the_lock_stays])
def test_nothing_left_behind_by_a_node_whose_store_failed(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    fault = Fault(at_s=0.5, kind="full_disk", node=1, value=0.2)
    world = replace(QUIET, nodes=1, duration_s=1.5, faults=(fault,))
    outcome = run(world)
    assert (outcome.failure, outcome.reached["a node stopped by itself"]) == (None, 1)
    plant(monkeypatch)
    assert failing(world) == "nothing left behind"


@pytest.mark.parametrize("pages", ["twice", "without the third", "other commands"])
def test_commit_feed(monkeypatch: pytest.MonkeyPatch, pages: str) -> None:
    honest = commits._commands
    count = 0

    def wrong(entries: Any) -> Iterator[Commit]:
        nonlocal count
        for commit in honest(entries):
            count += 1
            if pages == "other commands":
                commit = commit._replace(command=b"?")
            if pages != "without the third" or count != 3:
                yield commit
            if pages == "twice":
                yield commit

    monkeypatch.setattr(commits, "_commands", wrong)
    assert failing(replace(QUIET, load=replace(QUIET.load, feed=True))) == "commit feed"


def test_votes_are_durable_one_is_asked_for_before_its_term_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = opening.core_config
    monkeypatch.setattr(group, "core_config", lambda *a: replace(honest(*a), votes_before_write=True))
    assert failing() == "votes are durable"


def test_votes_are_durable_a_write_is_reported_and_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelDBStorage, "_write", lambda self, batch: True)
    assert failing() == "votes are durable"


def test_votes_are_durable_a_write_is_reported_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Writer._work

    def reported(self: Writer, submits: list[AppendBatch]) -> bool:
        self._post(self._done, submits)
        self._post = lambda method, argument: None  # type: ignore[method-assign]
        try:
            return work(self, submits)
        finally:
            del self._post

    monkeypatch.setattr(Writer, "_work", reported)
    threads = replace(QUIET, options=replace(QUIET.options, write_mode="thread"))
    assert failing(threads) == "none", "where a round is one step, nobody can come in between"
    assert failing(replace(threads, interleaved=True)) == "votes are durable"


def test_promises_are_durable_a_write_is_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskFile, "sync", lambda self: None)
    assert failing() == "promises are durable"


def test_one_life_of_one_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirectoryLock, "__init__", lambda self, *a: setattr(self, "_file", None))
    monkeypatch.setattr(DiskFile, "lock_for_process", lambda self: True)
    faults = (Fault(at_s=0.4, kind="second_start", node=1),)
    assert failing(replace(QUIET, faults=faults)) == "one life of one disk"


def test_a_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Founding) -> None:
        raise WrongIdentity("planted")

    monkeypatch.setattr(Founding, "look", refuse)
    assert failing() == "a reason to stop"


def test_a_start_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "ensure_started", lambda self, node: None)
    world = Plan(
        seed=3, duration_s=0.5, load=Load(clients=0), disk=DiskFaults(stall_s=(0.0, 0.0)),
        faults=(Fault(at_s=0.4, kind="kill", node=1),),
    )  # fmt: skip
    assert failing(world) == "a start in time"


def test_a_leader_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "leader", lambda self, group=0: None)
    assert failing() == "a leader in time"


def test_replicas_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "fingerprint", lambda self: id(self))
    assert failing() == "replicas alike"


def test_a_clean_stop_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: Driver) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Driver, "stop", never)
    assert failing() == "a clean stop ends"


def test_nothing_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: DatagramTransport) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(DatagramTransport, "_hello_or_probe_all", broken)
    assert failing(replace(QUIET, duration_s=1.5)) == "nothing escapes"


@pytest.mark.parametrize("name", ["wait_for_leader", "transfer_leadership", "hand_over", "set_priority"])
def test_nothing_escapes_to_whoever_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What no call may raise is seen, whoever has made it."""

    async def broken(self: GroupCalls, *arguments: object, **more: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(GroupCalls, name, broken)
    faults = tuple(Fault(at_s=0.4, kind=kind, other=2) for kind in ("transfer", "hand_over", "priority"))
    assert failing(replace(QUIET, faults=faults)) == "nothing escapes"


def harmed(kind: str, **more: Any) -> Plan:
    """The quiet world, in which a disk is harmed at rest."""
    return replace(QUIET, duration_s=1.5, faults=(Fault(at_s=0.4, kind=kind, node=3, value=0.2, **more),))


@pytest.mark.parametrize("kind", ["flipped_bit", "emptied_disk", "older_copy"])
def test_a_disk_is_harmed_at_rest_and_all_that_must_hold_does(kind: str) -> None:
    outcome = run(harmed(kind))
    assert outcome.failure is None
    assert outcome.reached[f"fault: {kind}"] == 1


def test_damage_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Disk, path: object) -> None:
        log = newest_log(self)
        assert log is not None
        log.size = len(log.data) - 1000
        del log.data[-1000:]

    monkeypatch.setattr(Disk, "flip_bit", cut)
    assert failing(harmed("flipped_bit")) == "damage is noticed"


def believe(monkeypatch: pytest.MonkeyPatch, wrong: Verdict) -> None:
    """What is to be dropped for this reason is taken instead, and whoever said it is believed."""
    honest = rules.judge

    def judge(store: int, boot: int, peer: Any, header: Any) -> Verdict:
        verdict = honest(store, boot, peer, header)
        if verdict is not wrong:
            return verdict
        return Verdict.ACCEPT if header.to_boot == boot else Verdict.PROBE

    monkeypatch.setattr(gate, "judge", judge)


def test_an_older_copy_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    believe(monkeypatch, Verdict.FORKED_BOOT)
    assert failing(harmed("older_copy")) in ("an older copy is noticed", "an earlier life is over")


def test_an_emptied_disk_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    believe(monkeypatch, Verdict.WRONG_STORE)
    monkeypatch.setattr(Checks, "_nobody_knew", lambda self, member, store: None)  # which would see it as well
    assert failing(harmed("emptied_disk")) == "an emptied disk is refused"


def test_an_emptied_disk_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = founding.judge

    def begin(*arguments: Any) -> Judgement:
        judgement = honest(*arguments)
        return replace(judgement, outcome=Outcome.BEGIN) if judgement.outcome is Outcome.REFUSED else judgement

    monkeypatch.setattr(founding, "judge", begin)
    assert failing(harmed("emptied_disk")) == "an emptied disk takes no part"


def test_what_is_put_back_has_promised_nothing_that_others_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_rest, "nothing_to_lose", lambda cluster, member: False)
    outcome = run(harmed("older_copy"))
    assert outcome.failure is None
    assert not outcome.reached["an older copy was put back"]


def test_no_majority_is_harmed() -> None:
    cluster = Cluster(World(1), Plan(seed=1, nodes=5), lambda name: None)
    may = [at_rest.may_be_harmed(cluster, member) for member in cluster.members.values()]
    assert may == [True] * 5
    cluster.members[1].trusted = cluster.members[2].trusted = False
    assert not any(at_rest.may_be_harmed(cluster, member) for member in cluster.members.values())


# --- One by one -------------------------------------------------------------------------------------------------------


class Core(SimpleNamespace):
    """What the checks ask a RawNode for."""

    def __init__(self, terms: list[int], **more: Any) -> None:
        given: dict[str, Any] = {
            "term": 3,
            "state": StateType.StateLeader,
            "leader": 1,
            "commit_index": 0,
            "first_index": 1,
        }
        super().__init__(**{**given, **more}, last_index=len(terms), last_term=terms[-1] if terms else 0)
        self.terms = terms

    def term_at(self, index: int) -> int | None:
        return 0 if not index else self.terms[index - 1] if index <= len(self.terms) else None


core: Any = Core  # in the place of a RawNode


def fresh() -> tuple[Checks, Any]:
    checks = Checks(Cluster(World(1), Plan(seed=1), lambda name: None))
    return checks, checks.cluster.members


def broken(call: Callable[[], object]) -> str:
    """The check under whose name the call fails."""
    with pytest.raises(Broken) as caught:
        call()
    return caught.value.check


def test_election_safety_and_leader_completeness() -> None:
    checks, members = fresh()
    history = checks.groups[0]
    checks._leads(members[1], core([1, 2]), history)
    assert broken(lambda: checks._leads(members[2], core([1, 2]), history)) == "election safety"
    checks._commits(members[1], core([1, 2]), 0, 2, 0)
    assert broken(lambda: checks._leads(members[2], core([1], term=4), history)) == "leader completeness"


def test_logs_match_and_leaders_only_append() -> None:
    checks, members = fresh()
    history, seen = checks.groups[0], Glance()
    checks._log_changed(members[1], core([1, 2]), seen, history, True)
    seen.last_index, seen.last_term = 2, 2
    checks._log_changed(members[2], core([1, 2, 2]), Glance(), history, False)
    assert broken(lambda: checks._log_changed(members[2], core([2, 2]), Glance(), history, False)) == "log matching"
    other = core([1, 1, 2, 2])
    assert broken(lambda: checks._log_changed(members[1], other, seen, history, True)) == "leader append-only"


def test_what_is_committed_stays() -> None:
    checks, members = fresh()
    checks._commits(members[1], core([1, 2]), 0, 2, 0)
    assert broken(lambda: checks._commits(members[1], core([1, 2]), 2, 1, 0)) == "commit index"
    assert broken(lambda: checks._commits(members[2], core([1, 3]), 0, 2, 0)) == "state machine safety"


def life_of(head: Head, node: int = 1) -> Any:
    storage = SimpleNamespace(_failure=None, _groups={0: SimpleNamespace(head=head)})
    return SimpleNamespace(storage=storage, applied={}, process=SimpleNamespace(node=node))


def test_durable_terms_and_votes_stay() -> None:
    checks, members = fresh()
    checks._written(members[1], 0, Glance(), Head(term=3, vote=1, number=1))
    one = Head(term=3, vote=2, number=1)
    assert broken(lambda: checks._written(members[1], 0, Glance(), one)) == "one vote a term"
    less = Head(term=3, vote=1, number=1)  # a start writes one batch more
    assert broken(lambda: checks._written(members[1], 0, Glance(), less)) == "damage is noticed"
    two = Head(term=2, vote=0, number=1)
    assert broken(lambda: checks._written(members[1], 0, Glance(), two)) == "durable term"


@pytest.mark.parametrize(
    ("first", "command", "named"), [(1, b"a", "applied once"), (2, b"other", "state machine safety")]
)
def test_what_is_applied(first: int, command: bytes, named: str) -> None:
    checks, _ = fresh()
    checks.groups[0].commands[2] = b"b"
    life = life_of(Head())
    checks.applied(life, 0, 1, [b"a"])
    checks.applied(life, 0, first, [command])
    assert checks._found is not None
    assert checks._found.check == named


def test_what_a_member_without_trust_applies_moves_nothing() -> None:
    checks, members = fresh()
    checks.applied(life_of(Head(), 1), 0, 1, [b"a"])
    members[2].trusted = False
    checks.applied(life_of(Head(), 2), 0, 1, [b"other", b"b"])
    assert checks.groups[0].commands == {1: b"a", 2: b"b"}
    checks.applied(life_of(Head(), 3), 0, 1, [b"a", b"b"])
    assert checks._found is None


def test_what_is_committed_and_applied_says_in_which_group() -> None:
    trace = run(replace(QUIET, groups=2), record=True).trace
    assert trace is not None
    for kind, place in (("commit", 1), ("applied", 2)):
        assert {event.detail[place] for event in trace if event.kind == kind} == {0, 1}


def test_one_boot_after_the_other() -> None:
    checks, members = fresh()
    life: Any = SimpleNamespace(host=SimpleNamespace(driver=SimpleNamespace(boot=7)), storage=SimpleNamespace(_pins={}))
    checks._new_life(members[1], life)
    assert broken(lambda: checks._new_life(members[1], life)) == "one life at a time"


def test_two_processes_that_speak_for_one_store() -> None:
    checks, members = fresh()
    said: list[bytes] = []
    checks.cluster.make_transport = lambda network, process, entropy, limit: said_by(network, process, entropy, said)
    checks.cluster.start(1)
    checks.world.run(0.2)
    wire = Wire(checks.cluster)
    one: Any = SimpleNamespace(node=1, alive=True)
    wire.sends(one, said[0])
    wire.sends(SimpleNamespace(node=1, alive=True), said[0])  # type: ignore[arg-type]
    assert checks._found is not None
    assert checks._found.check == "one life of one disk"


def said_by(network: Any, process: Any, entropy: Any, said: list[bytes]) -> Any:
    from raftpy.sim.network import SimulatedTransport

    class Recorded(SimulatedTransport):
        def _put(self, peer: Any, datagram: bytes) -> None:
            said.append(datagram)
            super()._put(peer, datagram)

    return Recorded(network, process, entropy, None)


@pytest.mark.parametrize(
    ("message", "head", "covered"),
    [
        (Message(MessageType.MsgVote, 2, 1, term=3), Head(term=3, vote=1), True),
        (Message(MessageType.MsgVote, 2, 1, term=3), Head(term=2, vote=1), False),
        (Message(MessageType.MsgVote, 2, 1, term=3), Head(term=3, vote=2), False),
        (Message(MessageType.MsgVoteResp, 2, 1, term=3), Head(term=3, vote=2), True),
        (Message(MessageType.MsgVoteResp, 2, 1, term=3), Head(term=3, vote=0), False),
        (Message(MessageType.MsgVoteResp, 2, 1, term=3, reject=True), Head(term=3, vote=3), True),
        (Message(MessageType.MsgAppResp, 2, 1, term=3, index=5), Head(term=3, last_index=5), True),
        (Message(MessageType.MsgAppResp, 2, 1, term=3, index=5), Head(term=3, last_index=4), False),
        (Message(MessageType.MsgAppResp, 2, 1, term=3, index=5), Head(term=4, last_index=4), True),
        (Message(MessageType.MsgApp, 2, 1, term=3), Head(term=2), False),
        (Message(MessageType.MsgHeartbeat, 2, 1, term=3), Head(term=3), True),
        (Message(MessageType.MsgPreVote, 2, 1, term=3), Head(), True),
    ],
)
def test_what_a_message_promises(message: Message, head: Head, covered: bool) -> None:
    assert (undurable(message, head) is None) == covered


def read(index: int, found: int = 0, version: int = 0, node: int = 1) -> Operation:
    return Operation(
        0, 1, 0, READ, 0, 0.0, answered_s=1.0, stale=True, index=index, found=found, version=version, node=node
    )


def test_stale_reads() -> None:
    put = kv_commands.put(b"k0", (9).to_bytes(8, "little"))
    ending.stale_reads([read(1), read(2, 9, 2), read(3, 9, 2)], [{2: put}])
    assert broken(lambda: ending.stale_reads([read(2, 9, 2), read(1)], [{2: put}])) == "stale reads go forward"
    ending.stale_reads([read(2, 9, 2), read(1, node=2)], [{2: put}])
    assert broken(lambda: ending.stale_reads([read(1, 9, 2)], [{2: put}])) == "stale reads are a prefix"


def test_a_write_that_some_node_lacks() -> None:
    write = Operation(0, 1, 0, WRITE, 0, 0.0, answered_s=1.0, found=1, index=4, checksum=crc32c(b"a"))
    life = life_of(Head())
    life.applied[0] = 4
    ending.durable([write], [{4: b"a"}], [life])
    assert broken(lambda: ending.durable([write], [{4: b"b"}], [life])) == "acknowledged and there"
    assert broken(lambda: ending.durable([write], [{5: b"a"}], [life])) == "acknowledged and there"
    life.applied[0] = 3
    assert broken(lambda: ending.durable([write], [{4: b"a"}], [life])) == "acknowledged and there"


def test_unknown_outcomes_are_told_apart() -> None:
    writes = [Operation(0, 1, 0, WRITE, 0, 0.0, checksum=crc32c(command)) for command in (b"a", b"b")]
    assert ending.unknown_outcomes(writes, [{1: b"a"}]) == (1, 1)
