"""An entry of a former term is not committed because a majority holds it (paper 5.4.2, Figure 8).

Seen in logcabin, issue 44, by the author of the paper; in canonical/raft, issue 220, and in async-raft, issue 108.
"""

from __future__ import annotations

from raftcore import Message, MessageType
from raftcore.wire.path_size import SEALING
from tests.sim.scenarios.stage import stage

CAUGHT = ("old-term-committed-by-counting",)

LARGE = "x" * 396
"""So that the entry travels alone."""


def test_figure_8() -> None:
    with stage(5, max_datagram=600 + SEALING) as world:
        # (a) Node 1 leads, and its entry reaches node 2 only.
        index = world.raw(1).last_index + 1
        for node in (3, 4, 5):
            world.keep(MessageType.MsgApp, from_=1, to=node)
        world.write(1, "a", LARGE)
        world.until(lambda: world.raw(2).last_index == index, "node 2 has the entry")
        old_term = world.raw(1).term
        assert world.raw(1).commit_index < index
        # (b) Node 1 dies, and node 5 leads: its own entry at that place reaches nobody.
        world.kill(1)
        world.cut_off(2)
        world.keep(MessageType.MsgApp, from_=5)
        world.elect(5, known_to=[3, 4])
        world.until(lambda: world.raw(5).last_index >= index, "node 5 has its own entry")
        assert world.raw(5).term_at(index) == world.raw(5).term > old_term
        # (c) Node 5 dies. Node 1 leads again and spreads its old entry, which brings it to node 3 as well. The entry of
        # its new term reaches node 2 only: node 3 refuses it, and is sent the old one.
        world.kill(5)
        world.join()
        for rule in list(world.rules):
            rule.end()

        def of_its_new_term(message: Message) -> bool:
            return message.entries is not None and message.entries.last_term > old_term

        world.keep(MessageType.MsgApp, from_=1, to=4)
        refused = world.keep(MessageType.MsgAppResp, from_=3, copies=True, when=lambda m: m.reject)
        world.keep(MessageType.MsgApp, from_=1, to=3, when=lambda m: of_its_new_term(m) and bool(refused.kept))
        stored = world.keep(
            MessageType.MsgAppResp, from_=3, to=1, copies=True, when=lambda m: not m.reject and m.index == index
        )
        world.start(1)
        world.elect(1, known_to=[2, 3, 4])
        world.until(lambda: bool(stored.kept), "node 3 has stored the old entry")
        world.pass_(0.05)

        assert [world.raw(node).term_at(index) for node in (1, 2, 3)] == [old_term] * 3
        assert world.raw(3).last_index == index
        assert world.raw(1).commit_index < index
        # (d) Node 1 dies once more, and node 5 replaces the entry everywhere: nobody has seen it committed.
        world.kill(1)
        world.start(5)
        world.elect(5, known_to=[2, 3, 4])
        world.finish(a=None)
