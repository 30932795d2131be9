"""A command whose outcome was not heard is not proposed again: it takes effect once, or never.

Seen in fluree/db, pull request 1839, and in cockroach, issue 10602 (found by Jepsen's test for duplicates): a proposal
that was given up for lost was put again by the library, and both took effect; etcd, pull request 4691, was not merged
for that reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from raftcore import MessageType
from raftpy.replicated import kv_commands
from tests.sim.scenarios.stage import stage

CAUGHT = ("applied-twice",)


def test_everything_arrives_three_times_and_the_leader_is_deposed() -> None:
    with stage() as world:
        applied: dict[int, Counter[bytes]] = {node: Counter() for node in world.cluster.ids}

        def count(node: int) -> None:
            machine = world.life(node).machines[0]
            checked = machine.on_applied

            def on_applied(first_index: int, commands: Sequence[bytes]) -> None:
                applied[node].update(commands)
                checked(first_index, commands)

            machine.on_applied = on_applied

        for node in world.cluster.ids:
            count(node)
        # The command reaches the others; that they have it is not heard, and the leader is deposed.
        stored = world.keep(MessageType.MsgAppResp, to=1)
        appends = world.keep(MessageType.MsgApp, from_=1, copies=True)
        asked = world.write(1, "a", "1", timeout=2.0)
        world.until(lambda: bool(stored.kept), "node 2 or 3 has it")
        world.split(1)
        world.elect(2, known_to=[3])
        world.pass_(0.3)
        world.join()
        stored.release(times=3)
        appends.release(times=3)
        world.until(lambda: asked.ended, "the client hears something")
        world.settle()

        command = kv_commands.put(b"a", b"1")
        assert [applied[node][command] for node in world.cluster.ids] == [1, 1, 1]
        world.finish(a="1")
