"""The rare branches that are counted: what is counted is listed, what is listed is counted, and said in the docs."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from raftpy.sim import member_calls, swarm
from raftpy.sim import run as running
from raftpy.sim.cluster import Cluster
from raftpy.sim.plan import Plan
from raftpy.sim.sometimes import (
    CORE,
    INFLICTED,
    LINES,
    MEMBERS,
    RUNTIME,
    SNAPSHOTS,
    SOMETIMES,
    STORAGE,
    TRANSPORT,
    unlisted,
)
from raftpy.sim.swarm import FAULTS, FETCH_FAULTS, HARM, LINKS, SNAPSHOT_FAULTS, draw_plan
from raftpy.sim.totals import ENOUGH_SEEDS, Totals

ROOT = Path(__file__).parents[2]
SIMULATOR = ROOT / "raftpy" / "sim"


@pytest.fixture(autouse=True)
def members_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """In worlds whose members come and go other things are left out."""
    monkeypatch.setattr(member_calls, "SHARE", 0.0)


def test_there_are_many_and_each_says_what_it_means() -> None:
    assert len(SOMETIMES) - len(INFLICTED) >= 60
    assert all(len(meaning) > 3 and (meaning.endswith(".") or name in INFLICTED) for name, meaning in SOMETIMES.items())
    parts = (CORE, RUNTIME, STORAGE, TRANSPORT, SNAPSHOTS, MEMBERS, INFLICTED)
    assert len(SOMETIMES) == sum(map(len, parts))


def test_each_is_named_where_it_is_seen() -> None:
    paths = [path for kind in ("*.py", "*.pyx") for path in SIMULATOR.rglob(kind) if path.name != "sometimes.py"]
    texts = [path.read_text() for path in paths]
    source = "\n".join([*texts, *LINES.values()])
    source += " a proposal was cancelled before it was appended a proposal was cancelled after it was appended "
    assert [name for name in SOMETIMES if name not in INFLICTED and name not in source] == []


def test_each_kind_of_fault_is_drawn() -> None:
    kinds = (*FAULTS, *HARM, *SNAPSHOT_FAULTS, *FETCH_FAULTS, "crash_loop", "harmed_snapshot", "left_behind")
    later = ("kill_half_way", "other_bytes", "max_command", "lost_state", "narrow_path", "no_descriptors", "lost_order")
    assert {f"fault: {kind}" for kind in (*kinds, *later)} == INFLICTED.keys()


@pytest.fixture
def without_what_takes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added last is less where there is more of other things."""
    for share in ("RESUMED", "SMALL_PIECES", "LIMITS", "LOST_STATES"):
        monkeypatch.setattr(swarm, share, 0.0)


@pytest.mark.usefixtures("without_what_takes_room")
def test_a_disk_is_harmed_in_few_worlds_and_the_others_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm, "SNAPSHOTS", 0.0)  # what befalls these is less where there is more of other things
    plans = [draw_plan(seed) for seed in range(1200)]
    monkeypatch.setattr(swarm, "AT_REST", 0.0)
    added: list[str] = []
    for plan in plans:
        without = draw_plan(plan.seed)
        if plan == without:
            continue
        more = [fault for fault in plan.faults if fault not in without.faults]
        assert replace(plan, faults=without.faults, disk=without.disk) == without
        assert [fault for fault in plan.faults if fault not in more] == list(without.faults)
        out_of_order = replace(plan.disk, out_of_order=0.0) == without.disk != plan.disk
        kinds = {fault.kind for fault in more}
        assert len(kinds) == 1
        assert kinds <= ({"power"} if out_of_order else HARM.keys())
        assert out_of_order or len({fault.node for fault in more}) == 1
        assert plan.nodes > 2 or (plan.nodes == 1 and kinds <= {"power", "flipped_bit"})
        added += kinds
    assert set(added) == {"power", *HARM}
    assert 0.05 < len(added) / len(plans) < 0.11


@pytest.mark.usefixtures("without_what_takes_room")
def test_a_process_dies_again_and_again_in_few_worlds_and_the_others_stay_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swarm, "AT_REST", 0.0)
    plans = [draw_plan(seed) for seed in range(1200)]
    monkeypatch.setattr(swarm, "CRASH_LOOPS", 0.0)
    added = 0
    for plan in plans:
        without = draw_plan(plan.seed)
        if plan == without:
            continue
        added += 1
        more = [fault for fault in plan.faults if fault not in without.faults]
        [loop] = [fault for fault in more if fault.kind == "crash_loop"]
        slow = {fault.node for fault in more if fault.kind == "slow_link"}
        assert {fault.kind for fault in more} == {"crash_loop", "slow_link"}
        assert loop.node not in slow
        assert 2 * (plan.nodes - 1 - len(slow)) <= plan.nodes, "who is left when it is down decides nothing"
        assert replace(plan, faults=without.faults, disk=without.disk, load=without.load) == without
    assert 0.02 < added / len(plans) < 0.08


@pytest.mark.usefixtures("without_what_takes_room")
def test_state_machines_give_out_their_state_in_some_worlds_and_the_others_stay_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans = [draw_plan(seed) for seed in range(600)]
    monkeypatch.setattr(swarm, "SNAPSHOTS", 0.0)
    monkeypatch.setattr(swarm, "ASKED_IN_VAIN", 0.0)
    machines = Counter(plan.snapshots.machine for plan in plans)
    assert abs(machines["memory"] + machines["disk"] - 0.35 * 600) < 60
    assert 0.3 < machines["disk"] / machines["memory"] < 0.8
    kinds: Counter[str] = Counter()
    for plan in plans:
        without = draw_plan(plan.seed)
        more = Counter(plan.faults) - Counter(without.faults)
        assert replace(plan, faults=without.faults, snapshots=without.snapshots) == without
        assert not more or plan.snapshots.machine != "none"
        kinds.update({fault.kind for fault in more})
    assert kinds.keys() == {*SNAPSHOT_FAULTS, *FETCH_FAULTS, "harmed_snapshot", "left_behind"}
    assert any(plan.snapshots.asked_s for plan in plans if plan.snapshots.machine == "none")


@pytest.mark.parametrize(
    ("share", "name"),
    [
        ("LOST_REQUESTS", "a priority was not set"),
        ("LARGE_ENTRIES", "a message went in fragments"),
    ],
)
def test_what_hardly_ever_comes_by_itself_is_brought_about(
    monkeypatch: pytest.MonkeyPatch, share: str, name: str
) -> None:
    plans = [draw_plan(seed) for seed in range(1, 2001)]
    monkeypatch.setattr(swarm, share, 0.0)
    brought = [plan for plan in plans if plan != draw_plan(plan.seed)]
    assert 15 <= len(brought) <= 60
    assert all(len(plan.faults) <= swarm.MOST_FAULTS * plan.duration_s + 1 for plan in brought)
    assert sum(running.run(plan).reached[name] > 0 for plan in brought[:8]) >= 4


@pytest.mark.parametrize(
    ("share", "least", "most", "name", "sample"),
    [
        ("RESUMED", 40, 120, "a snapshot was received from the middle on", 36),
        ("SMALL_PIECES", 60, 180, "a snapshot was received", 12),
        ("LIMITS", 120, 260, "a limit of commands was set", 12),
    ],
)
def test_what_is_added_last_moves_nothing_else_and_is_reached(
    monkeypatch: pytest.MonkeyPatch, share: str, least: int, most: int, name: str, sample: int
) -> None:
    plans = [draw_plan(seed) for seed in range(2001, 4001)]
    monkeypatch.setattr(swarm, share, 0.0)
    brought = [plan for plan in plans if plan != draw_plan(plan.seed)]
    assert least <= len(brought) <= most
    assert all(len(plan.faults) <= swarm.MOST_FAULTS * plan.duration_s + 1 for plan in brought)
    assert sum(running.run(plan).reached[name] > 0 for plan in brought[:sample]) >= max(2, sample // 9)


def test_what_befalls_links_has_an_effect() -> None:
    plans = [draw_plan(seed) for seed in range(600)]
    drawn = [(plan.nodes, fault) for plan in plans for fault in plan.faults if fault.kind in LINKS]
    assert {fault.kind for _, fault in drawn} == LINKS.keys()
    assert all(nodes > 1 for nodes, _ in drawn)
    for nodes, fault in drawn:
        others = set(range(1, nodes + 1)) - {fault.node}
        if fault.kind in ("cut", "sever", "slow_link"):
            assert fault.other in others
        elif fault.kind == "see_some":
            assert 0 < len([node for node in others if fault.other >> node & 1]) < len(others)
        elif fault.kind == "split":
            assert 0 < len([node for node in range(1, nodes + 1) if fault.other >> node & 1]) < nodes
    assert {fault.other for nodes, fault in drawn if (nodes, fault.kind, fault.node) == (3, "cut", 2)} == {1, 3}
    assert {fault.other for nodes, fault in drawn if (nodes, fault.kind) == (3, "split")} == set(range(2, 14, 2))
    parted = [fault for _, fault in drawn if fault.kind != "slow_link"]
    partial = [fault for fault in parted if fault.kind in ("cut", "sever", "see_some")]
    assert len(partial) > len(parted) / 3


def test_what_is_reached_and_not_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Cluster.start

    def misspelt(self: Cluster, node: int) -> object:
        self.reached("a leader lost its qourum")
        return start(self, node)

    monkeypatch.setattr(Cluster, "start", misspelt)
    with pytest.raises(ValueError, match="does not list 'a leader lost its qourum'"):
        running.run(Plan(seed=1, duration_s=0.1))
    assert unlisted(SOMETIMES) == []


def test_an_outcome_has_all_of_them_also_those_that_were_not_reached() -> None:
    outcome = running.run(Plan(seed=1, duration_s=0.1))
    assert outcome.reached.keys() == SOMETIMES.keys()
    assert outcome.reached["fault: kill"] == 0


def test_a_long_search_that_has_left_one_out_is_blind_to_it() -> None:
    totals = Totals(seeds=ENOUGH_SEEDS - 1)
    totals.count_reached({"a": 1, "b": 0})
    assert totals.never_reached() == ["b"]
    assert totals.blind_to() == []
    totals.seeds += 1
    assert totals.blind_to() == ["b"]


def test_ci_runs_enough_seeds_to_be_told_and_each_of_them_twice() -> None:
    (first, end, more), *others = re.findall(
        r"raftpy sim run --seeds (\d+):(\d+)(.*)", (ROOT / ".ci" / "run").read_text()
    )
    assert (int(end) - int(first) >= ENOUGH_SEEDS, more, others) == (True, "", [])


def test_the_documentation_lists_them_all() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    listed = re.findall(r"^- ([^:\n]+): [A-Z].*$", text.partition("### What must be reached")[2], re.MULTILINE)
    assert listed == [name for name in SOMETIMES if name not in INFLICTED]


def test_worlds_that_are_watched_are_few() -> None:
    assert 0.15 < sum(draw_plan(seed).watched for seed in range(400)) / 400 < 0.35
