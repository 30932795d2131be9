"""Those who call ``Node.snapshot()`` in a simulated cluster: at some node, of some group, again and again."""

from __future__ import annotations

from raftcore.base.errors import RaftError
from raftpy.contracts.errors import NoSnapshots
from raftpy.sim.cluster import Cluster, Life


def ask(cluster: Cluster, life: Life, group: int) -> None:
    """Calls it in the process of that life, if somebody could."""
    if life.serves and group in life.groups:
        life.process.spawn(_ask(cluster, life, group))


async def _ask(cluster: Cluster, life: Life, group: int) -> None:
    if life.groups[group].snapshots._busy():
        cluster.reached("a snapshot was asked for while one was taken")
    try:
        index = await life.calls(group).snapshot()
    except NoSnapshots:
        cluster.reached("a machine without a state to give out was asked for a snapshot")
    except (RaftError, OSError):
        pass  # the node stops, or its disk fails, to which it writes, or its state machine
    except Exception as error:
        life.process.complain({"message": "somebody asked for a snapshot", "exception": error})
    else:
        if index:
            cluster.on_snapshot(life, group, index)


class SnapshotCalls:
    """Calls it until the faults are over, ``SnapshotLoad.asked_s`` apart in the mean."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._source = cluster.world.source("snapshots")

    def start(self) -> None:
        """Begins, where anybody is to call."""
        if self._cluster.plan.snapshots.asked_s:
            self._later()

    def _later(self) -> None:
        pause = self._source.uniform(0.0, 2 * self._cluster.plan.snapshots.asked_s)
        self._cluster.world.after(pause, self._next)

    def _next(self) -> None:
        if self._cluster.healed:
            return
        node = self._source.choice(self._cluster.ids)
        group = self._source.randrange(self._cluster.plan.groups)
        life = self._cluster.members[node].life
        if life is not None:
            ask(self._cluster, life, group)
        self._later()
