"""What a node asks of the world outside it asks of what it is given: its threads, and what it draws at random."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from raftpy import BlockingNode, Config, Node
from raftpy.contracts.executor import Thread
from raftpy.sim.entropy import SeededEntropy
from raftpy.system.threads import Threads
from tests.node.harness import Recorder, _free_addresses


class NamedThreads(Threads):
    """The process's threads, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        self.names.append(name)
        return super().start(name, run)


class CountedEntropy(SeededEntropy):
    """Draws from a seed, and counts the calls."""

    def __init__(self, seed: int) -> None:
        super().__init__(Random(seed))
        self.calls: list[str] = []

    def bytes(self, count: int) -> bytes:
        self.calls.append(f"{count} bytes")
        return super().bytes(count)

    def u64(self) -> int:
        self.calls.append("u64")
        return super().u64()


def store_id(config: Config, seed: int) -> tuple[int, list[str], list[str]]:
    """Of a node that starts with this seed; the threads that it began, and what it drew."""
    threads, entropy = NamedThreads(), CountedEntropy(seed)

    async def main() -> int:
        async with Node(config, Recorder(), executor=threads, entropy=entropy) as node:
            identity = node._running.transport._own  # type: ignore[attr-defined]
            return int(identity.store_id)

    return asyncio.run(main()), threads.names, entropy.calls


def test_ids_and_seeds_come_from_the_given_source(tmp_path: Path) -> None:
    addresses = _free_addresses(1)
    seen = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        config = Config(id=1, cluster=addresses, data_dir=tmp_path / name)
        ident, threads, drawn = store_id(config, seed)
        assert threads == ["raftpy opening 1", "raftpy closing 1"]
        # The store's id, that of its row of segments, half a boot, and the core's seed.
        assert drawn == ["u64", "u64", "4 bytes", "u64"]
        seen.append(ident)
    assert seen[0] == seen[1] != seen[2]
    assert store_id(Config(id=1, cluster=addresses), 7)[0] == seen[0]  # in memory


def test_a_blocking_node_runs_on_the_given_threads() -> None:
    threads = NamedThreads()
    with BlockingNode(Config(id=1, cluster=_free_addresses(1)), Recorder(), executor=threads) as node:
        node.wait_for_leader(20)
    assert threads.names == ["raftpy-1"]
