"""Your own replicated state in one file: three nodes in one process, and a count that they all agree on."""

import asyncio
import tempfile

from raftpy import Config, Node

CLUSTER = {1: "127.0.0.1:7101", 2: "127.0.0.1:7102", 3: "127.0.0.1:7103"}


class Tally:
    """A state machine: what apply returns is what propose returns, and it must be the same on every node."""

    def __init__(self) -> None:
        self.votes: dict[bytes, int] = {}

    def apply(self, index: int, command: bytes) -> int:
        self.votes[command] = self.votes.get(command, 0) + 1
        return self.votes[command]


async def main() -> None:
    with tempfile.TemporaryDirectory() as data:
        nodes = {i: Node(Config(id=i, cluster=CLUSTER, data_dir=f"{data}/{i}"), Tally()) for i in CLUSTER}
        async with nodes[1], nodes[2], nodes[3]:
            leader = nodes[await nodes[1].wait_for_leader()]
            for colour in (b"blue", b"red", b"blue"):
                print(colour.decode(), await leader.propose(colour))


if __name__ == "__main__":
    asyncio.run(main())
