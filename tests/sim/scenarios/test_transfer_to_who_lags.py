"""A leader that hands over to a node that does not keep up, or is not there, goes on after an election timeout.

Seen in redpanda, issue 2592: nothing could be written while the target caught up, however long that took; and in
openraft, issue 2088: a transfer whose message was lost left the cluster without a leader (thesis 3.10: after about an
election timeout the leader aborts the transfer and takes requests again).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftcore import MessageType
from raftpy.contracts.errors import NotLeader
from tests.seeded_bugs.bug import Bug
from tests.sim.scenarios.stage import Stage, stage

CAUGHT = (
    Bug(
        name="transfer-never-given-up",
        breaks="a transfer that is not done after an election timeout is given up (thesis 3.10)",
        file="raftcore/algorithm/step.pyx",
        old="    r.transferee = 0  # a transfer has one election timeout (thesis 3.10)\n",
        new="",
    ),
    Bug(
        name="transfer-asked-for-without-a-pause",
        breaks="after about an election timeout the leader takes requests again for a while (thesis 3.10)",
        file="raftpy/runtime/group.py",
        old="            await self.leader_changed(2 * self.config.election_ms[0] / 1000)\n",
        new="            await self.leader_changed(self.config.heartbeat_ms / 1000)\n",
    ),
)


TARGETS: dict[str, Callable[[Stage], object]] = {
    "cut off": lambda world: world.cut_off(3),
    "lacks entries": lambda world: world.keep(MessageType.MsgApp, to=3),
    "is never told": lambda world: world.keep(MessageType.MsgTimeoutNow),
}


@pytest.mark.parametrize("asked_of", [1, 2])
@pytest.mark.parametrize("target", TARGETS)
def test_writes_go_on_however_long_it_is_asked_for(target: str, asked_of: int) -> None:
    with stage() as world:
        TARGETS[target](world)
        if target == "lacks entries":
            world.written(1, "a", "0")
        handing = world.ask(asked_of, lambda calls: calls.transfer_leadership(3, timeout=None))
        taken: list[bool] = []
        for number in range(150):
            written = world.write(1, "a", str(number))
            world.pass_(0.02)
            assert isinstance(written.error, NotLeader | None)
            taken.append(written.answered)

        assert world.leads(1)
        assert not handing.ended
        assert sum(taken) >= 0.4 * len(taken)
        assert max(len(refused) for refused in "".join(".#"[one] for one in taken).split("#")) <= 10  # 0.2 s
        # At last it is there: now it leads.
        world.rules.clear()
        world.join()
        world.until(lambda: handing.ended, "node 3 leads")
        assert world.leads(3)
        world.finish()


def test_it_hears_of_a_transfer_that_was_given_up() -> None:
    with stage() as world:
        told = world.keep(MessageType.MsgTimeoutNow)
        world.ask(1, lambda calls: calls.transfer_leadership(3, timeout=0.1))
        world.until(lambda: bool(told.kept), "node 3 is told to stand")
        world.pass_(0.3)
        assert world.leads(1)
        world.written(1, "a", "1")
        # Much later it stands: nothing is lost by that.
        told.release()
        world.pass_(0.5)
        world.finish(a="1")
