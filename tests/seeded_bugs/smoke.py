"""``python -m tests.seeded_bugs.smoke``: does a trivial cluster still work with the bug in it? Exit status 0 if so.

A seeded bug has to be one that a glance does not show: the core imports, three nodes elect a leader, and a command is
committed and applied everywhere. What fails here says nothing about the tests.
"""

from __future__ import annotations

from pathlib import Path

import raftcore
from raftcore import StateType
from tests.core.network import Network


def main() -> None:
    here = Path.cwd()
    if not Path(raftcore.__file__).is_relative_to(here):
        raise SystemExit(f"raftcore was imported from {raftcore.__file__}, not from {here}")
    net = Network(3)
    net.campaign(1)
    if net[1].role != StateType.StateLeader:
        raise SystemExit(f"three nodes elected no leader: node 1 is {net[1].role.name}")
    net.propose(1, b"one command")
    net.tick_all(3)
    for member in net.members.values():
        if member.errors:
            raise SystemExit(f"node {member.id} complained of a message: {member.errors[0]!r}")
        if [command for _, _, command in member.applied if command] != [b"one command"]:
            raise SystemExit(f"node {member.id} applied {member.applied}, the one command expected")


if __name__ == "__main__":
    main()
