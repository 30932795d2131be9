"""A node whose directory was emptied does not come back under its old id: it has forgotten what it promised.

Seen in dragonboat, issue 256, in braft, issues 77 and 292, and in nexus, pull request 3939: the node came back empty,
voted, and what it had acknowledged was gone, or the leader's idea of it stopped the process. docs/design-storage.md:
"the node asks its peers, and stops when one of them knows the lost one".
"""

from __future__ import annotations

from pathlib import PurePosixPath

from raftpy.contracts.errors import WrongIdentity
from raftpy.sim.data_directory import DIRECTORY
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import stage

CAUGHT = (
    Bug(
        name="any-store-believed",
        breaks="a store id other than the pinned one is never taken (raftpy/transport/identity/rules.py, 3 and 4)",
        file="raftpy/transport/identity/rules.py",
        old="    if peer.pinned not in (0, header.from_store):\n"
        "        return Verdict.WRONG_STORE\n"
        "    if header.from_boot != peer.boot and peer.boot:\n",
        new="    if header.from_boot != peer.boot and peer.boot and peer.pinned == header.from_store:\n",
    ),
)

DATA = PurePosixPath(DIRECTORY)


def test_one_of_three_is_emptied_beside_one_that_lacks_the_entry() -> None:
    with stage() as world:
        world.cut_off(3)
        world.written(1, "a", "1")
        world.kill(2)
        world.distrust(2).empty(DATA)
        world.kill(1)
        world.join()
        world.start(2)
        life = world.life(2)
        world.until(lambda: world.member(2).life is None, "node 2 stops")
        assert isinstance(life.error, WrongIdentity)
        world.pass_(1.0)
        assert world.cluster.leader() is None

        world.start(1)
        world.member(2).lost = True
        world.finish(a="1")


def test_two_of_three_are_emptied() -> None:
    with stage() as world:
        world.written(1, "a", "1")
        world.quiet()
        for node in (2, 3):
            world.kill(node)
            world.distrust(node).empty(DATA)
        lives = []
        for node in (2, 3):
            world.start(node)
            lives.append(world.life(node))
        world.until(lambda: all(world.member(node).life is None for node in (2, 3)), "nodes 2 and 3 stop", 20.0)
        assert all(isinstance(life.error, WrongIdentity) for life in lives)
        assert world.value(1, "a") == "1"
