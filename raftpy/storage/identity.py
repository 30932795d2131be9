"""What a disk says of whose it is (decision 5): store id, boot, cluster id, first members; and what its groups begin
with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b

from raftcore.base.conflict import Conflict
from raftcore.base.types import LARGEST_ID
from raftcore.values.message import ConfState, HardState
from raftcore.values.storage_view import InitialState
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.types import BOOT_SHIFT, MAX_GROUP, StoreOwner
from raftpy.storage.records import Index

MAX_BOOTS = 2**32 - 1


def new_store_id(entropy: Entropy) -> int:
    """A random u64 that is not 0, which in a datagram means "not heard yet"."""
    while True:
        store_id = entropy.u64()
        if store_id:
            return store_id


def boot_after(boot: int, entropy: Entropy) -> int:
    """The boot that follows ``boot`` (0: the first): counter in the high half, random low half.

    The counter orders the incarnations of one disk; the random half tells apart two that a copied disk would give the
    same counter.
    """
    counter = (boot >> BOOT_SHIFT) + 1
    return min(counter, MAX_BOOTS) << BOOT_SHIFT | int.from_bytes(entropy.bytes(4), "little")


def cluster_hash(members: Mapping[int, str]) -> int:
    """The cluster id of the members first given: BLAKE2b, 8 bytes, little endian; never 0.

    Hashed is ``raftpy cluster`` and then, by ascending id, ``ID=ADDRESS`` with the address in lower case, each on a
    line of its own, in UTF-8. Nodes given the same members in any order, and any case, agree.
    """
    lines = ["raftpy cluster", *(f"{node_id}={address.lower()}" for node_id, address in sorted(members.items()))]
    text = "".join(line + "\n" for line in lines)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def resolve_cluster_id(identity: StoreOwner) -> int:
    """The cluster id of a first start: the given one, or the hash of the members."""
    return cluster_hash(identity.cluster) if identity.cluster_id is None else identity.cluster_id


def named_groups(identity: StoreOwner) -> dict[int, tuple[int, ...]]:
    """The groups that an opening names, each with its first voters, ascending. ValueError for ids that are none.

    Group 0 is not among them: it is there always, and begins with the members of the cluster.
    """
    groups: dict[int, tuple[int, ...]] = {}
    for group, nodes in identity.groups.items():
        voters = tuple(sorted(set(nodes)))
        if not 0 <= group <= MAX_GROUP:
            raise ValueError(f"a group's id is 0 to {MAX_GROUP}, got {group}")
        if voters and not 1 <= voters[0] <= voters[-1] <= LARGEST_ID:
            raise ValueError(f"a node's id is 1 to {LARGEST_ID}, got {voters} for group {group}")
        if group:
            groups[group] = voters
        elif voters != tuple(sorted(identity.cluster)):
            raise ValueError(f"group 0 begins with the members, {tuple(sorted(identity.cluster))}, got {voters}")
    return groups


def initial_state(
    hard_state: HardState,
    voters: Iterable[int],
    index: Index,
    term_runs: Sequence[tuple[int, int]],
    time_ms: int,
    conflict: Conflict | None = None,
    prev_term: int = 0,
    conf_changes: Sequence[int] = (),
) -> InitialState:
    """What a group's core starts from: its first voters, nothing applied, the whole log ahead of it.

    ``prev_term``: of the last entry that was compacted. ``conf_changes``: which entries are configuration changes.
    """
    return InitialState(
        hard_state=hard_state,
        conf_state=ConfState(voters=voters),
        snapshot_index=index.prev,
        snapshot_term=prev_term,
        last_index=index.last,
        term_runs=tuple(term_runs),
        last_time_ms=time_ms,
        conflict=conflict,
        conf_changes=tuple(conf_changes),
    )


def reported_groups(states: Mapping[int, InitialState], named: Collection[int]) -> dict[int, InitialState]:
    """``Recovered.groups``: of what a store knows group 0, those that its opening names, and what holds anything."""
    return {group: state for group, state in states.items() if group in (0, *named) or _holds_anything(state)}


def _holds_anything(state: InitialState) -> bool:
    """Whether a group has ever come to hold anything that it may have told somebody of: a term is the least."""
    return state.hard_state != HardState() or state.last_index > 0 or state.conflict is not None
