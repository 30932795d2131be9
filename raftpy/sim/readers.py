"""A program in the process of each node of a watched world: it waits for a leader.

Whoever reads the commit feed there is the cluster's (``Load.feed``); what it has still to be given is told here.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftcore.base.errors import RaftError
from raftpy.sim.cluster import Cluster, Life, Member

LONGEST_WAIT_S = 1.0
"""For a leader."""


class Readers:
    """Of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def started(self, member: Member, life: Life) -> None:
        """A node has started."""
        life.programs = [life.process.spawn(self._wait(life, group)) for group in life.machines]

    async def _wait(self, life: Life, group: int) -> None:
        if not life.groups[group].raw.leader:
            self._cluster.reached("somebody waited for a leader")
        try:
            await life.calls(group).wait_for_leader(LONGEST_WAIT_S)
        except (RaftError, TimeoutError):
            pass
        except Exception as error:
            life.process.complain({"message": "while it waited for a leader", "exception": error})


def missing(life: Life, group: int, commands: Mapping[int, bytes]) -> list[int]:
    """Indexes of commands that a life has applied and its reader, if it has one, was not given yet."""
    if group not in life.fed:
        return []
    return [index for index in commands if life.fed[group] < index <= life.applied.get(group, 0)]
