"""Worlds that have found something: each plan is kept as it was, whatever the swarm draws today, and runs clean now.

long_wait_after_a_stalled_write     the node with the newest log waited for seconds before it stood (roles.write_took)
record_of_a_killed_start_unsynced   an older write-ahead file came back torn: a good store was refused (store.py)
pin_replaced_by_the_member_table    what the cluster had agreed on counted as forgotten (glance.pyx)
start_again_on_a_full_disk          a node that cannot start was started again without end, at one moment (cluster.py)
bit_of_the_format_of_a_floor        a changed format number, refused as another release's, was no reason (checks.py)
stopped_while_its_disk_is_full      a task that was done counted as left behind (cluster.py)
many_unknown_outcomes               the history could not be judged in the steps that a search has (ending.linearizable)
many_refused_swaps                  likewise, with every version known (linearizability/registers.pyx)
one_snapshot_kept_on_its_way        the newest was on its way to a member, and no other one was kept (snapshotting.py)
refused_and_waited_for              a member was told that what it was offered is gone, and offered none (offering.py)
reported_but_damaged                a call of snapshot() named one that was damaged, and not read back (snapshotting.py)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from raftpy.sim.plan import Plan
from raftpy.sim.run import run

FOUND = sorted((Path(__file__).parent / "data" / "found").glob("*.json"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_once_is_mended(path: Path) -> None:
    outcome = run(Plan.from_json(path.read_text()))
    assert outcome.failure is None, f"raftpy sim replay --plan {path.name}: {outcome.failure}"


def test_each_of_them_is_told_of() -> None:
    assert __doc__ is not None
    assert len(FOUND) >= 2
    assert all(path.stem in __doc__ for path in FOUND)
