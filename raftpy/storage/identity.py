"""What a disk says of whose it is (decision 5): store id, boot, cluster id, first members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

from raftcore.base.conflict import Conflict
from raftcore.values.message import ConfState, HardState
from raftcore.values.storage_view import InitialState
from raftpy.contracts.types import StoreOwner

BOOT_SHIFT = 32
MAX_BOOTS = 2**32 - 1


def new_store_id(random: Callable[[int], bytes]) -> int:
    """A random u64 that is not 0, which in a datagram means "not heard yet"."""
    while True:
        store_id = int.from_bytes(random(8), "little")
        if store_id:
            return store_id


def boot_after(boot: int, random: Callable[[int], bytes]) -> int:
    """The boot that follows ``boot`` (0: the first): counter in the high half, random low half.

    The counter orders the incarnations of one disk; the random half tells apart two that a copied disk would give the
    same counter.
    """
    counter = (boot >> BOOT_SHIFT) + 1
    return min(counter, MAX_BOOTS) << BOOT_SHIFT | int.from_bytes(random(4), "little")


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


def initial_state(
    hard_state: HardState,
    members: Mapping[int, str],
    last: int,
    term_runs: Sequence[tuple[int, int]],
    time_ms: int,
    conflict: Conflict | None = None,
) -> InitialState:
    """What the core starts from: every first member a voter, nothing applied, the whole log ahead of it."""
    return InitialState(
        hard_state=hard_state,
        conf_state=ConfState(voters=tuple(members)),
        last_index=last,
        term_runs=tuple(term_runs),
        last_time_ms=time_ms,
        conflict=conflict,
    )
