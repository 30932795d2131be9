"""Opening a host: store, then transport. When one fails, what was opened before is closed again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from raftcore.base.config import Config as CoreConfig
from raftcore.base.types import UNLIMITED
from raftcore.wire.codec import BLOCK_HEADER_SIZE, LENGTH_SIZE, RUN_SIZE, max_command
from raftpy.config import Config, format_cluster
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.executor import Executor
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.contracts.types import LocalIdentity, Recovered, Standing, StoreOwner
from raftpy.members.addresses import Addresses
from raftpy.members.operations import contradicted
from raftpy.runtime.restoring import Restoring, Start
from raftpy.runtime.starting import StartProgress
from raftpy.runtime.store_threads import before_the_start, open_store

BLOCK_OVERHEAD = BLOCK_HEADER_SIZE + LENGTH_SIZE
"""Bytes that a block of one entry needs beside its payload: header and length (docs/wire-format.md)."""
MESSAGE_OVERHEAD = 1024
"""More than a message with one command needs beside it."""
MAX_APPLY_BYTES = 1 << 20
"""Committed entries the core hands out at a time."""

TRACE = logging.DEBUG // 2
"""The level of what the core says of each commit; its other decisions are few, and at level DEBUG."""
EACH_COMMIT = frozenset({"commit"})
"""Events of the core's trace that come with every commit."""

log = logging.getLogger("raftpy")
core_log = logging.getLogger("raftpy.core")


NOTHING_AGREED = (
    ". Nothing was agreed on with this directory yet: if the list given is the right one, stop the nodes that were "
    "started with another, delete their data directories, and start them again"
)
"""For somebody who has mistyped an address at the first start."""


@dataclass(slots=True)
class Opened:
    """The parts of a host, open and with one another's acquaintance."""

    storage: Storage
    """Open, with this start's boot."""
    transport: Transport
    """Started."""
    groups: dict[int, Start]
    """From where each group goes on, by ascending id; its state machine has been restored."""
    members: dict[int, str]
    """Node id to UDP address, as first given."""
    addresses: Addresses
    """Where members are reached, as far as that is known beside the table."""
    met: dict[int, str]
    """Whom the transport speaks to, node id to UDP address, this node among them."""
    store_id: int
    """This node's, u64."""
    boot: int
    """Of this start, u64."""
    standing: Standing
    """How far this node has come, by what its store holds."""


class GivingUp:
    """Ends the opening of a host where that takes long: in the store's own, or while state machines are restored."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.restoring = False
        """The store is open."""
        self.asked = False
        """``ask`` was called."""
        self.progress = StartProgress()
        """How far the opening has come; in a thread another one takes its place."""

    def told(self, progress: StartProgress) -> None:
        """In any thread: it has come so far."""
        self.progress = progress

    def ask(self) -> None:
        """The opening is wanted no more; it ends by ``StorageFailed`` or ``Stopped``, or soon."""
        self.asked = True
        if not self.restoring:
            self._storage.close()


async def open_host(
    config: Config,
    storage: Storage,
    transport: Transport,
    executor: Executor,
    wake: Callable[[], None],
    groups: Mapping[int, Collection[int]],
    machines: Mapping[int, StateMachine],
    giving_up: GivingUp,
) -> Opened:
    """Opens the store, restores the state machines, by group id, and opens the transport.

    ``executor`` runs the first two where they take long. ``wake`` is called in the event loop when the transport has
    something to read, perhaps at once. ``groups`` has the first members of each group, by its id; what the store holds
    of any other is left alone. Raises what ``Storage.open``, ``Restoring.run`` and ``Transport.start`` raise; nothing
    is left open then.
    """
    try:
        recovered = await open_store(
            storage, StoreOwner(config.id, config.addresses, config.cluster_id, groups), executor
        )
        _check_own_pin(config, recovered)
        _compare_members(config, recovered)
        _compare_groups(config, recovered, groups)
        giving_up.restoring = True
        others = hasattr(transport, "send_snapshot_talk") and bool({*recovered.members, *config.contacts} - {config.id})
        own = config.udp or recovered.members[config.id]
        starts = await _restore(config, storage, executor, recovered, sorted(groups), machines, giving_up, others)
        identity = LocalIdentity(
            node_id=config.id,
            store_id=recovered.store_id,
            boot=recovered.boot,
            cluster_id=recovered.cluster_id,
            members={**recovered.members, **config.contacts, config.id: own},
            pins=recovered.pins,
            http_address=config.http or "",
            conflicts={g: initial.conflict for g in groups if (initial := recovered.groups[g]).conflict},
            standing=first_standing(config.id, recovered),
        )
        transport.start(identity, wake, storage.pin)
    except BaseException:
        transport.close()
        storage.close()
        raise
    return Opened(
        storage,
        transport,
        starts,
        recovered.members,
        Addresses(config.id, own, config.contacts, recovered.members),
        dict(identity.members),
        recovered.store_id,
        recovered.boot,
        identity.standing,
    )


async def _restore(
    config: Config,
    storage: Storage,
    executor: Executor,
    recovered: Recovered,
    groups: Collection[int],
    machines: Mapping[int, StateMachine],
    giving_up: GivingUp,
    others: bool,
) -> dict[int, Start]:
    """From where each of the groups goes on. ``others``: there are other members to ask for snapshots."""
    parts = {
        group_id: Restoring(
            name_of(config.id, group_id),
            group_id,
            machines[group_id],
            storage.snapshots,
            recovered.groups[group_id],
            others=others,
        )
        for group_id in groups
    }

    def run() -> dict[int, Start]:
        return {group_id: part.run(lambda: giving_up.asked, giving_up.told) for group_id, part in parts.items()}

    if not any(storage.snapshots.refs(group_id) for group_id in groups):
        return run()  # there is nothing to read
    return await before_the_start(storage, executor, config.id, "restoring", run, giving_up.ask)


def name_of(node_id: int, group_id: int) -> str:
    """What a group of a node is called in its log."""
    return f"node {node_id}" + (f", group {group_id}" if group_id else "")


def first_standing(node_id: int, recovered: Recovered) -> Standing:
    """What the node is when it starts. New is who has promised nothing, in no group: every promise of Raft, an
    acknowledgement or a vote, follows the write of a term above 0 (Figure 2). A cluster of one has nobody to ask."""
    groups = recovered.groups.values()
    if any(initial.last_index or initial.snapshot_index for initial in groups):
        return Standing.ESTABLISHED
    promised = any(initial.hard_state.term or initial.hard_state.vote for initial in groups)
    if promised or set(recovered.members) == {node_id}:
        return Standing.JOINED
    return Standing.NEW


def append_size(max_datagram: int) -> int:
    """Bytes of blocks in one append that a datagram of ``max_datagram`` bytes holds whatever else it says."""
    return max_command(max_datagram) + BLOCK_OVERHEAD


def core_config(
    config: Config,
    transport: Transport,
    boot: int,
    entropy: Entropy,
    group_id: int = 0,
    applied: int = 0,
    groups: int = 1,
) -> CoreConfig:
    """The settings of a group's core, one of ``groups`` on its host.

    ``transport`` says what one datagram carries; ``boot`` makes each start draw anew, and ``entropy`` gives the seed
    where ``config`` has none. ``applied``: the index of the snapshot that it goes on from.
    """
    append = transport.max_command + BLOCK_OVERHEAD
    if hasattr(transport, "on_datagram_size"):  # see SizingTransport
        append = append_size(transport.max_datagram)
    return CoreConfig(
        id=config.id,
        applied=applied,
        election_tick=config.election_ticks,
        heartbeat_tick=config.heartbeat_ticks,
        quiet_heartbeat_tick=config.quiet_heartbeat_ticks,
        max_size_per_msg=min(append, config.max_inflight_bytes),
        max_committed_size_per_ready=MAX_APPLY_BYTES,
        max_uncommitted_size=config.max_uncommitted_bytes,
        max_inflight_msgs=config.max_inflight_messages,
        max_inflight_bytes=config.max_inflight_bytes,
        max_window_bytes=config.log_cache_bytes // groups,
        max_window_entries=UNLIMITED,
        async_storage_writes=True,
        pre_vote=config.pre_vote,
        check_quorum=config.check_quorum,
        max_reject_runs=max(1, transport.max_command // RUN_SIZE - 1),
        disable_proposal_forwarding=True,
        seed=_seed(config, boot, entropy, group_id),
        trace=_trace if core_log.isEnabledFor(logging.DEBUG) else None,
    )


def largest_command(agreed: int, transport: Transport) -> int:
    """Bytes in the largest command that is taken: as the member table has it, and as the transport carries it to the
    peers."""
    largest: int = getattr(transport, "max_message", 0)  # see FragmentingTransport
    return min(agreed, max(transport.max_command, largest - MESSAGE_OVERHEAD))


def _seed(config: Config, boot: int, entropy: Entropy, group_id: int) -> int:
    if config.seed is None:
        return entropy.u64()
    # Not the same on every node, nor at every start: nodes that draw alike split their votes for ever.
    text = f"{config.seed}/{config.id}/{boot >> 32}" + (f"/{group_id}" if group_id else "")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _trace(event: str, fields: Mapping[str, Any]) -> None:
    core_log.log(TRACE if event in EACH_COMMIT else logging.DEBUG, "%s %s", event, dict(fields))


def _check_own_pin(config: Config, recovered: Recovered) -> None:
    """A node keeps a pin for itself only once the member table has named another store than its own."""
    pinned = recovered.pins.get(config.id, recovered.store_id)
    if pinned != recovered.store_id:
        raise contradicted(config.id, recovered.store_id, pinned)


def _compare_members(config: Config, recovered: Recovered) -> None:
    if dict(config.addresses) != recovered.members:
        # A node alone has nobody to agree with, and says nothing of itself for that.
        new = first_standing(config.id, recovered) == Standing.NEW
        log.warning(
            "node %d: the cluster given, %s, differs from the one this data directory was first started with, %s; "
            "the latter counts%s",
            config.id,
            format_cluster(config.addresses),
            format_cluster(recovered.members),
            NOTHING_AGREED if new else "",
        )


def _compare_groups(config: Config, recovered: Recovered, groups: Collection[int]) -> None:
    if left := [group_id for group_id in recovered.groups if group_id not in groups]:
        log.warning(
            "node %d: its data directory holds %s, and it was given no state machine for %s: there it is as if down",
            config.id,
            f"{'group' if len(left) == 1 else 'groups'} {', '.join(map(str, left))}",
            "it" if len(left) == 1 else "them",
        )
