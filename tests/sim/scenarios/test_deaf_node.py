"""A node that is heard and hears nothing does not unseat the leader (thesis 4.2.3, 9.6).

Seen in old-raft-rs, issue 27 (from the authors of c5): such a node raised its term and stood for election without end,
and took the whole cluster along; in etcd, issue 9241, one that came and went.
"""

from __future__ import annotations

import pytest

from tests.sim.scenarios.stage import stage

CAUGHT = ("pre-vote-raises-the-term", "voter-forgets-its-leader-under-check-quorum")


@pytest.mark.parametrize(("pre_vote", "check_quorum"), [(True, True), (True, False), (False, True)])
def test_who_hears_nothing_disturbs_nobody(pre_vote: bool, check_quorum: bool) -> None:
    with stage(pre_vote=pre_vote, check_quorum=check_quorum) as world:
        term = world.raw(1).term
        world.cluster.network.cuts |= {(1, 3), (2, 3)}
        for number in range(20):
            world.pass_(0.1)
            world.written(1, "a", str(number))
        assert (world.raw(1).term, world.leads(1)) == (term, True)
        world.join()
        world.pass_(0.5)
        if pre_vote:  # otherwise its term has risen, and is heard of once it answers: a single election
            assert (world.raw(1).term, world.leads(1)) == (term, True)
        world.finish(a="19")
