"""A simulated cluster in which the scenario decides what arrives, and when.

The nodes are whole, as in every simulated world, and all checks of ``raftpy.sim.checks`` look on. The network and the
disks are good; ``keep`` and ``lose`` take datagrams out of the network by the messages in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from raftcore import Message, MessageType, RawNode, StateType
from raftcore.wire.codec import messages
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import Outcome
from raftpy.sim import faults
from raftpy.sim.cluster import Life, Member
from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk
from raftpy.sim.plan import NetworkFaults, Options, Plan, SnapshotLoad
from raftpy.sim.run import Run
from raftpy.sim.sometimes import Watch

STEADY_DISK = DiskFaults(write_s=(0.00001, 0.00001), sync_s=(0.0005, 0.0005))
STEADY_NETWORK = NetworkFaults(delay_s=(0.0005, 0.0005))
"""Always the same delay, so that nothing overtakes unless the scenario wants it to."""

VOTES = (MessageType.MsgPreVote, MessageType.MsgVote)
LONG_S = 5.0
"""Many election timeouts: what has not happened by then does not happen."""


class Asked:
    """A call that a program in a node's process has made; it never ends when the process dies first."""

    def __init__(self) -> None:
        self.ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    @property
    def answered(self) -> bool:
        """It has ended, and without an error."""
        return self.ended and self.error is None


class Rule:
    """Which datagrams are kept off, and those that were, in the order in which they were sent."""

    def __init__(
        self,
        stage: Stage,
        types: Sequence[MessageType],
        from_: int | None,
        to: int | None,
        when: Callable[[Message], bool] | None,
        copies: bool,
    ) -> None:
        self.kept: list[tuple[int, int, bytes]] = []
        self._stage = stage
        self._types = frozenset(types)
        self._from, self._to, self._when = from_, to, when
        self._copies = copies

    def takes(self, from_id: int, to_id: int, datagram: bytes) -> bool:
        """Whether the datagram is kept off; one that holds several messages is for any of them."""
        if self._from not in (None, from_id) or self._to not in (None, to_id):
            return False
        for message in of(datagram):
            if message.type in self._types and (self._when is None or self._when(message)):
                self.kept.append((from_id, to_id, datagram))
                return not self._copies
        return False

    def messages(self) -> list[Message]:
        """Of all that were kept."""
        return [message for _, _, datagram in self.kept for message in of(datagram)]

    def end(self) -> None:
        """No more are kept off."""
        if self in self._stage.rules:
            self._stage.rules.remove(self)

    def release(self, times: int = 1) -> None:
        """Ends, and sends what was kept on its way, each so many times."""
        self.end()
        for from_id, to_id, datagram in self.kept:
            for _ in range(times):
                self._stage.cluster.network.send_on(from_id, to_id, datagram)


def of(datagram: bytes) -> Iterator[Message]:
    """The messages in a datagram."""
    for _, message in messages(datagram):
        if isinstance(message, Message):
            yield message


class Stage:
    """A cluster of ``nodes``, all started; see :func:`stage`."""

    def __init__(
        self,
        nodes: int,
        seed: int,
        options: Options,
        disk: DiskFaults,
        rates: Mapping[int, float],
        snapshots: SnapshotLoad,
    ) -> None:
        plan = Plan(seed=seed, nodes=nodes, options=options, network=STEADY_NETWORK, disk=disk, snapshots=snapshots)
        self.run = Run(plan)
        self.world, self.cluster = self.run.world, self.run.cluster
        self.reached: Counter[str] = self.run.reached
        self.rules: list[Rule] = []
        self.cluster.network.keep = self._keep
        for node in self.cluster.ids:
            self.member(node).rate = rates.get(node, 1.0)
            self.cluster.start(node)

    def _keep(self, from_id: int, to_id: int, datagram: bytes) -> bool:
        kept = False
        for rule in self.rules:  # all of them: some only look on
            kept = rule.takes(from_id, to_id, datagram) or kept
        return kept

    # --- The network ----------------------------------------------------------------------------------------------

    def keep(
        self,
        *types: MessageType,
        from_: int | None = None,
        to: int | None = None,
        when: Callable[[Message], bool] | None = None,
        copies: bool = False,
    ) -> Rule:
        """Keeps datagrams with such messages off until the rule ends; ``copies``: lets them pass, too."""
        rule = Rule(self, types, from_, to, when, copies)
        self.rules.append(rule)
        return rule

    def cut_off(self, *nodes: int) -> None:
        """These hear nobody, not even one another, and nobody hears them."""
        for node in nodes:
            self.cluster.network.isolate(node, self.cluster.ids)

    def split(self, *side: int) -> None:
        """These and the others do not hear one another; what was cut before is whole."""
        ids = self.cluster.ids
        cuts = self.cluster.network.cuts
        cuts.clear()
        cuts |= {(one, other) for one in ids for other in ids if (one in side) != (other in side)}

    def join(self) -> None:
        """No link is cut."""
        self.cluster.network.cuts.clear()

    # --- Time -----------------------------------------------------------------------------------------------------

    def pass_(self, seconds: float) -> None:
        """Lets time go on."""
        self.world.run(self.world.now + seconds)

    def until(self, done: Callable[[], bool], what: str, seconds: float = LONG_S) -> None:
        """Lets time go on until it is so."""
        if not done():
            assert self.world.run(self.world.now + seconds, done), f"not within {seconds} s: {what}"

    # --- Nodes ----------------------------------------------------------------------------------------------------

    def member(self, node: int) -> Member:
        """Over all its lives."""
        return self.cluster.members[node]

    def life(self, node: int) -> Life:
        """Its present one."""
        life = self.member(node).life
        assert life is not None, f"node {node} is down"
        return life

    def raw(self, node: int) -> RawNode:
        """Its core."""
        return self.life(node).groups[0].raw

    def up(self, node: int) -> bool:
        """Whether it has started, and serves."""
        life = self.member(node).life
        return life is not None and life.serves and 0 in life.groups

    def leads(self, node: int) -> bool:
        """Whether it takes itself for the leader."""
        return self.up(node) and self.raw(node).state == StateType.StateLeader

    def ready(self) -> None:
        """All are up."""
        self.until(lambda: all(map(self.up, self.cluster.ids)), "all are up")

    def elect(self, node: int, known_to: Sequence[int] | None = None) -> None:
        """Makes this one leader, and known as such to the others (or to those), by losing what others stand with."""
        self.until(lambda: self.up(node), f"node {node} is up")
        rules = [self.keep(*VOTES, from_=other) for other in self.cluster.ids if other != node]
        known = list(self.cluster.ids) if known_to is None else [node, *known_to]
        self.until(
            lambda: self.leads(node) and all(self.up(i) and self.raw(i).leader == node for i in known),
            f"node {node} leads",
        )
        for rule in rules:
            rule.end()

    def anybody(self) -> int:
        """Waits until somebody leads; who."""
        self.until(lambda: self.cluster.leader() is not None, "somebody leads")
        leader = self.cluster.leader()
        assert leader is not None
        return leader

    def quiet(self) -> None:
        """Until all who are up have committed and applied all that their leader has."""

        def still() -> bool:
            raws = [life.groups[0].raw for _, life in self.cluster.lives() if life.serves]
            last = {(raw.last_index, raw.commit_index, raw.applied_index) for raw in raws}
            return len(last) == 1 and len(set(*last)) == 1

        self.until(still, "the same everywhere")
        self.pass_(0.2)  # so does what the leader says of itself when it has been elected

    def kill(self, node: int, how: str = "kill") -> None:
        """Dies ("kill": the process; "power": the machine) and stays down until ``start``."""
        self.cluster.crash(node, how, float("inf"))

    def distrust(self, node: int) -> Disk:
        """Its disk, to which something is done that no disk is to do while the node is down."""
        member = self.member(node)
        assert member.life is None
        member.trusted = False
        return member.disk

    def start(self, node: int) -> None:
        """Begins a new life."""
        self.cluster.start(node)

    def restart(self, node: int, how: str = "kill") -> None:
        """Dies and is up again."""
        self.kill(node, how)
        self.start(node)
        self.until(lambda: self.up(node), f"node {node} is up again")

    # --- Programs -------------------------------------------------------------------------------------------------

    def ask(self, node: int, call: Callable[[Any], Awaitable[Any]]) -> Asked:
        """A program in the node's process makes a call of its group."""
        asked = Asked()
        life = self.life(node)
        calls = life.calls(0)

        async def work() -> None:
            try:
                asked.value = await call(calls)
            except Exception as error:
                asked.error = error
            asked.ended = True

        life.process.spawn(work())
        return asked

    def write(self, node: int, key: str, value: str, timeout: float | None = 1.0) -> Asked:
        """Proposes to set a key there."""
        command = kv_commands.put(key.encode(), value.encode())
        return self.ask(node, lambda calls: calls.propose(command, timeout=timeout))

    def written(self, node: int, key: str, value: str) -> Outcome:
        """Sets a key there, and waits until that is acknowledged."""
        asked = self.write(node, key, value)
        self.until(lambda: asked.ended, f"{key} = {value} is answered")
        assert asked.error is None, asked.error
        outcome = asked.value
        assert isinstance(outcome, Outcome)
        return outcome

    def read(self, node: int, key: str, timeout: float | None = 1.0) -> Asked:
        """Reads a key there, linearizably."""
        life = self.life(node)

        async def read(calls: Any) -> str | None:
            await calls.read_index(timeout=timeout)
            return self._value(life, key)

        return self.ask(node, read)

    def value(self, node: int, key: str) -> str | None:
        """What its state machine holds at the moment."""
        return self._value(self.life(node), key)

    @staticmethod
    def _value(life: Life, key: str) -> str | None:
        stored = life.machines[0].store.get(key.encode())
        return None if stored is None else stored.value.decode()

    # --- The end --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All is healed: everybody but those that are lost for good is up and alike, and has a leader."""
        self.rules.clear()
        for member in self.cluster.members.values():
            member.down_s = 0.0
        self.cluster.healed = True
        faults.heal(self.cluster)
        self.run._settle()

    def finish(self, **holds: str | None) -> None:
        """``settle``; then the keys hold these values everywhere (None: nothing), and all stop cleanly."""
        self.settle()
        for member, _ in self.cluster.lives():
            for key, value in holds.items():
                assert self.value(member.node, key) == value, f"node {member.node} holds another {key}"
        self.run._finish()


@contextmanager
def stage(
    nodes: int = 3,
    *,
    seed: int = 1,
    disk: DiskFaults = STEADY_DISK,
    rates: Mapping[int, float] | None = None,
    leader: int | None = 1,
    snapshots: SnapshotLoad | None = None,
    **options: Any,
) -> Iterator[Stage]:
    """A cluster of so many nodes, which are all up and led by ``leader``, unless that is None.

    ``rates``: how many seconds of a node's clock pass in one. ``snapshots``: what state machines give out, nothing
    where it is None. ``options``: see ``plan.Options``.
    """
    made = Stage(nodes, seed, Options(**options), disk, rates or {}, snapshots or SnapshotLoad())
    with Watch(made.run._reach):
        if leader is not None:
            made.elect(leader)
            made.quiet()
        yield made
