"""What a node said before it started again counts no more once its new life has been heard.

Seen in nexus, pull request 3939, and in dragonboat, issue 256: the leader went on counting what a node had acknowledged
before it came back with less. Raft itself trusts every disk; here each datagram names the life that it is from.
"""

from __future__ import annotations

from raftcore import MessageType
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import stage

CAUGHT = (
    Bug(
        name="earlier-life-believed",
        breaks="what was said by an earlier incarnation does nothing (raftpy/transport/identity/rules.py, rule 2)",
        file="raftpy/transport/identity/rules.py",
        old="        if counter < known_counter:\n            return Verdict.STALE_BOOT\n",
        new="",
    ),
)


def test_a_delayed_acknowledgement_of_a_node_that_has_started_again() -> None:
    with stage() as world:
        world.cut_off(3)
        index = world.raw(1).last_index + 1
        before = world.keep(MessageType.MsgAppResp, from_=2, to=1)
        asked = world.write(1, "a", "1", timeout=None)
        world.until(lambda: any(m.index == index for m in before.messages()), "node 2 has acknowledged")
        before.end()
        after = world.keep(MessageType.MsgAppResp, from_=2, to=1)
        world.restart(2)
        world.until(lambda: bool(after.kept), "its new life is heard")
        world.pass_(0.05)

        before.release()
        world.pass_(0.01)
        assert world.raw(1).commit_index < index
        after.release()
        world.until(lambda: asked.ended, "the write is answered by what the new life says")
        assert asked.answered
        world.finish(a="1")
