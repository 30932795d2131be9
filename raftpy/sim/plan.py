"""A plan: everything that a seed has decided before a simulated world begins, as plain data.

A seed does not only drive one world's dice. It first draws what kind of world it will be (swarm testing: Groce et al.,
"Swarm Testing", 2012): its size, its options, how bad disks and network are, how much is asked of it, and a list of
faults with their times. Worlds that leave something out altogether find what a mixture of everything hides. Because a
plan is data, a failing one can be shrunk, written into a test, and run again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from raftpy.sim.disk.faults import DiskFaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of every node; see :class:`raftpy.Config`."""

    tick_ms: int = 10
    """Length of a tick, milliseconds."""
    heartbeat_ms: int = 50
    """How often a leader says that it is there, milliseconds."""
    election_ms: int = 150
    """The shortest election timeout; the longest is twice that."""
    pre_vote: bool = True
    """Ask before standing for election."""
    check_quorum: bool = True
    """A leader without a quorum steps down."""
    max_datagram: int = 60_000
    """Bytes."""
    path_sizes: bool = False
    """Each node finds out how large datagrams to each other one may be; False: all are, and nobody asks."""
    max_inflight_messages: int = 256
    """Append messages on their way to one follower."""
    max_inflight_bytes: int = 1 << 20
    """Their bytes together."""
    max_uncommitted_bytes: int = 64 << 20
    """Commands a leader takes while they are not applied, in bytes."""
    log_cache_bytes: int = 64 << 20
    """Of the log's end, kept in memory: so little that followers are sent what is read back, or all there is."""
    catch_up_rate: int = 24 << 20
    """Bytes a second of what is read back for a follower that nobody waits for; more, where the log grows faster."""
    write_mode: str = "auto"
    """Of ``LevelDBStorage``: auto, inline or thread."""
    segment_size: int = 1 << 20
    """Bytes in one write-ahead file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFaults:
    """How bad the network is while faults last; rates are for each datagram, 0 to 1, times are seconds."""

    delay_s: tuple[float, float] = (0.0001, 0.001)
    """Evenly distributed between the two, each datagram by itself: a later one may overtake."""
    late: float = 0.0
    """How many take ``late_s`` instead."""
    late_s: tuple[float, float] = (0.05, 0.5)
    """What the late ones take."""
    loss: float = 0.0
    """How many are lost."""
    duplication: float = 0.0
    """How many arrive twice, each copy with a delay of its own."""
    flipped: float = 0.0
    """How many arrive with one bit turned over."""
    held: float = 0.0
    """How many are held back for ``held_s`` and then delivered, to whoever lives there by then."""
    held_s: tuple[float, float] = (1.0, 5.0)
    """What those that are held back take."""
    refused: float = 0.0
    """How often the sender is told that nobody is at the address, when that is so."""
    buffer_bytes: int = 1 << 20
    """Of each node's socket: what does not fit is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What clients ask for."""

    clients: int = 5
    """How many work at a time; each has one operation under way."""
    keys: int = 5
    """How many keys they share."""
    think_s: float = 0.02
    """Mean pause of a client between an answer and its next operation."""
    burst: int = 1
    """Commands proposed together."""
    writes: float = 0.5
    """Share of writes."""
    swaps: float = 0.2
    """Share of compare-and-swaps; what is neither is a read."""
    stale_reads: float = 0.1
    """Share of the reads that ask the node at hand, without a round to the others."""
    follower_reads: float = 0.2
    """Share of the other reads that go to any node, and not to the leader."""
    timeout_s: float = 1.0
    """How long a client waits for an answer."""
    cancelled: float = 0.0
    """Share of the operations that their client gives up on at once or soon."""
    value_bytes: int = 16
    """Length of a value."""
    large: float = 0.0
    """Share of the values that have ``large_bytes`` instead."""
    large_bytes: int = 0
    """Length of these: above what a datagram holds."""
    patient: float = 0.0
    """Share of the operations whose client waits for an answer without a limit."""
    apply_s: float = 0.0
    """What a state machine takes for a command."""
    feed: bool = False
    """In each process, and for each of its groups, somebody reads the commit feed, from the first entry on or from a
    later one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLoad:
    """What state machines give out, and when snapshots of it are taken; see ``raftpy.contracts.state_machine``."""

    machine: str = "none"
    """``none``: nothing, the log is kept whole; ``memory``: their state, which is lost with the process; ``disk``: the
    same, and they keep it on the disk of their node as well."""
    entries: int = 0
    """``Config.snapshot_entries``; 0: entries are not counted."""
    asked_s: float = 0.0
    """Mean pause between two calls of ``snapshot()``, each at some node and of some group; 0: nobody calls it."""
    in_thread: bool = False
    """Views are written in the thread that writes the file, not in slices of the loop's time."""
    piece_s: float = 0.0
    """What a view takes for each of its pieces."""
    trailing_bytes: int = 1 << 30
    """``Config.trailing_bytes``: what stays of the log behind the older snapshot, for members that need it."""
    block_bytes: int = 0
    """The longest block of a snapshot, 69 bytes or more; 0: as it is shipped, which is more than most have."""
    chunk_bytes: int = 0
    """What one request for bytes of another node's snapshot asks for; 0: the same."""
    saved: float = 0.0
    """How often a machine on disk saves its state by itself, for each call that gives it commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLoad:
    """How members come and go; see ``raftpy.sim.member_calls``."""

    asked_s: float = 0.0
    """Mean pause between two changes of the members that somebody asks the leader for; 0: nobody does."""
    spares: int = 0
    """Nodes that run beside the first members, and may be added; their ids follow on those."""
    told: bool = False
    """Each node is told of all others, these too, at each start; False: of the first members, who then stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something bad that begins at a given time. What ``other`` and ``value`` mean goes by ``kind``: see faults.py."""

    at_s: float
    """When it begins, in seconds from the beginning of the world."""
    kind: str
    """Its name in faults.py."""
    node: int = 0
    """Whom it befalls."""
    other: int = 0
    """The other end of a link, or the like."""
    value: float = 0.0
    """How much, or for how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One world."""

    seed: int
    """Of all dice that are thrown while it runs."""
    nodes: int = 3
    """First members of the cluster."""
    groups: int = 1
    """Groups of each host; 1: a Node."""
    duration_s: float = 5.0
    """Until everything is healed."""
    settle_s: float = 5.0
    """From then on, at the most, until everything has to be well."""
    options: Options = field(default_factory=Options)
    """Of every node."""
    network: NetworkFaults = field(default_factory=NetworkFaults)
    """While faults last."""
    disk: DiskFaults = field(default_factory=DiskFaults)
    """While faults last."""
    load: Load = field(default_factory=Load)
    """From the beginning until everything is healed."""
    snapshots: SnapshotLoad = field(default_factory=SnapshotLoad)
    """Of every node, and from the beginning on."""
    members: MemberLoad = field(default_factory=MemberLoad)
    """While faults last."""
    faults: tuple[Fault, ...] = ()
    """What happens when."""
    watched: bool = False
    """Every datagram is read as it leaves and as it comes in, the cores keep a trace, and programs follow the commit
    feed: more is checked, and more of SOMETIMES is seen, at the price of some time."""
    last_blackout: bool = False
    """Once all is healed and everybody was answered, all machines lose power at once and come back."""
    one_by_one: bool = False
    """The state machines have no ``apply_batch``."""
    interleaved: bool = False
    """The loop, the network and the other processes go on while a thread of a process stands between two operations of
    its disk (strand.py); else each call beside a loop is one step."""

    def to_json(self) -> str:
        """Text that ``from_json`` makes the same plan of."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Raises ``ValueError`` for what is no plan."""
        try:
            plan = _made(cls, json.loads(text))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no plan of a simulated world: {error}") from error
        assert isinstance(plan, Plan)
        return plan


def _made(kind: Any, value: Any, of: str = "the plan") -> Any:
    """``value``, as JSON has it, as the type ``kind``; ``of``: what it is, for people."""
    if is_dataclass(kind) and isinstance(kind, type):
        if unknown := sorted(value.keys() - {field.name for field in fields(kind)}):
            raise ValueError(f"no plan of a simulated world: {kind.__name__} has no {unknown[0]!r}")
        hints = get_type_hints(kind)
        return kind(**{name: _made(hints[name], part, name) for name, part in value.items()})
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if isinstance(value, list) and (kinds[-1] is ... or len(value) == len(kinds)):
            return tuple(_made(kinds[0], part, of) for part in value)
    elif type(value) is kind or (kind is float and type(value) is int):
        return value
    raise ValueError(f"no plan of a simulated world: {of} is {value!r}: allowed is {_WORDS.get(kind, 'a list of two')}")


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
