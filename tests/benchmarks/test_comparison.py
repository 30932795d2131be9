"""The comparison: who is asked for what and when, what failed, and what the tables say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compare.__main__ import arguments, chosen, lengths_of, main
from benchmarks.compare.aims import aim_lines, aims
from benchmarks.compare.document import document
from benchmarks.compare.runner import Outcome, Session, estimate_s, prepare, run, schedule
from benchmarks.compare.systems import Figures, System, parse_figures, systems
from benchmarks.compare.table import details, markdown_table, matrix, number
from benchmarks.compare.works import FULL, GROUPS, QUICK, WORKS, Lengths
from benchmarks.rows import Row, summary

NAMES = ["floor", "raftpy", "raftpy-memory", "hashicorp-wal", "etcd-raft", "dragonboat-tan", "raft-rs", "pysyncobj"]


class Scripted(System):
    """A system whose sessions are given: figures to hand out, or an error."""

    def __init__(self, name: str, works: tuple[str, ...], script: list[Figures | Exception]) -> None:
        super().__init__(name, name, works)
        object.__setattr__(self, "script", script)

    def measure(
        self, group: str, works: Sequence[str], lengths: Lengths, folder: Path
    ) -> Iterator[tuple[str, Figures]]:
        for work in works:
            step = self.script.pop(0)  # type: ignore[attr-defined]
            if isinstance(step, Exception):
                raise step
            yield work, step


def carried_out(systems: list[System], works: list[str], rounds: int) -> tuple[Outcome, list[str]]:
    lengths = replace(QUICK, rounds=rounds)
    said: list[str] = []
    outcome = run(
        schedule(systems, works, lengths),
        lengths,
        Path("nowhere"),
        lambda session: None,
        lambda _, text: said.append(text),
    )
    return outcome, said


def test_the_systems_and_works_are_those_the_json_is_read_by() -> None:
    assert list(systems()) == NAMES
    assert set(WORKS) >= {
        "seq16", "seq1k", "inflight16", "inflight256", "inflight1k", "batch16",
        "core1", "core10", "core100", "core1000",
        "backtrack1", "backtrack100", "backtrack10000", "restart1m", "failover", "read1", "read1k", "idle",
    }  # fmt: skip
    for system in systems().values():
        assert set(system.works) <= set(WORKS)
        assert set(system.alone) <= set(system.works)
        assert system.start is not None or set(system.works) == set(system.alone)


def test_systems_take_turns_within_each_group_and_another_one_begins_each_round() -> None:
    three = [Scripted(name, ("seq16", "seq1k", "read1"), []) for name in "abc"]
    sessions = schedule(three, ["seq16", "seq1k", "read1"], replace(QUICK, rounds=2))
    order = [(session.number, session.group, session.system.name) for session in sessions]
    assert order == [
        (1, "latency", "a"), (1, "latency", "b"), (1, "latency", "c"),
        (1, "quiet", "a"), (1, "quiet", "b"), (1, "quiet", "c"),
        (2, "latency", "b"), (2, "latency", "c"), (2, "latency", "a"),
        (2, "quiet", "b"), (2, "quiet", "c"), (2, "quiet", "a"),
    ]  # fmt: skip
    assert {session.works for session in sessions if session.group == "latency"} == {("seq16", "seq1k")}


def test_a_system_is_asked_only_for_what_it_does() -> None:
    two = [Scripted("a", ("seq16",), []), Scripted("b", ("core1",), [])]
    sessions = schedule(two, list(WORKS), replace(QUICK, rounds=1))
    assert [(session.system.name, session.works) for session in sessions] == [("a", ("seq16",)), ("b", ("core1",))]


def test_long_works_take_part_in_fewer_rounds() -> None:
    sessions = schedule([systems()["raftpy"]], list(WORKS), FULL)
    assert sum(session.group == "restart" for session in sessions) == 2
    assert sum(session.group == "backtrack" for session in sessions) == 3
    assert sum(session.group == "failover" for session in sessions) * FULL.failovers == 30
    assert {session.group for session in sessions} == set(GROUPS)


def test_a_full_run_is_estimated_at_less_than_eighteen_minutes() -> None:
    sessions = schedule(list(systems().values()), list(WORKS), FULL)
    assert 300 < estimate_s(sessions, FULL) < 18 * 60


def test_figures_of_all_rounds_become_one_row() -> None:
    one = Scripted("raftpy", ("seq16",), [{"p50_us": 400.0}, {"p50_us": 500.0}, {"p50_us": 450.0}])
    outcome, said = carried_out([one], ["seq16"], 3)
    (row,) = outcome.rows()
    assert (row.system, row.work, row.p50_us, len(row.rounds)) == ("raftpy", "seq16", 450.0, 3)
    assert said == ["seq16 400", "seq16 500", "seq16 450"]


def test_a_failing_system_is_noted_and_the_rest_goes_on() -> None:
    bad = Scripted("bad", ("seq16", "seq1k"), [{"p50_us": 1.0}, RuntimeError("it fell over"), RuntimeError("again")])
    good = Scripted("good", ("seq16", "seq1k"), [{"p50_us": float(at)} for at in range(8)])
    outcome, said = carried_out([bad, good], ["seq16", "seq1k"], 4)
    assert outcome.failed == {("bad", "latency"): "RuntimeError: again"}
    assert len(outcome.taken["good", "seq16"]) == 4
    assert outcome.taken["bad", "seq16"] == [{"p50_us": 1.0}]  # what came before the failure counts
    assert sum(text.startswith("left out") for text in said) == 2


def test_a_system_that_cannot_be_built_is_missing() -> None:
    def fails() -> None:
        raise RuntimeError("building x failed:\nno such crate")

    broken = System("broken", "", ("seq16",), prepare=fails)
    absent = System("absent", "", ("seq16",), missing=lambda: "not installed: it needs go")
    there = System("there", "", ("seq16",))
    said: list[str] = []
    ready, missing = prepare({s.name: s for s in (broken, absent, there)}, said.append)
    assert [system.name for system in ready] == ["there"]
    assert missing == {"broken": "building x failed:\nno such crate", "absent": "not installed: it needs go"}
    assert "absent: not installed: it needs go" in said


@pytest.mark.parametrize(
    ("output", "figures"),
    [
        ('{"ns_per_entry": 410.5}\n', {"ns_per_entry": 410.5}),
        ('some words first\n{"value": 2, "ms": 1.5}\n\n', {"value": 2, "ms": 1.5}),
    ],
)
def test_the_last_line_of_a_program_is_its_figures(output: str, figures: Figures) -> None:
    assert parse_figures(output) == figures


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ("", "got 'nothing'"),
        ("panic: no\n", "got 'panic: no'"),
        ("[1, 2]\n", "expected a line of JSON"),
        ('{"error": "no leader within 30 s"}', "no leader within 30 s"),
        ('{"rate": "many"}', "expected numbers only"),
        ('{"rate": true}', "expected numbers only"),
    ],
)
def test_anything_else_is_refused(output: str, complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        parse_figures(output)


def rows() -> list[Row]:
    return [
        summary("floor", "seq16", [{"p50_us": 300.0, "p99_us": 900.0}, {"p50_us": 400.0, "p99_us": 1000.0}]),
        summary(
            "raftpy",
            "seq16",
            [
                {
                    "p50_us": 420.0,
                    "p99_us": 1425.0,
                    "p99_9_us": 2500.0,
                    "p99_99_us": 3500.0,
                    "cpu_us_per_op": 12.5,
                    "leader_cpu_us_per_op": 4.25,
                }
            ],
        ),
        summary("etcd-raft", "seq16", [{"p50_us": 600.0, "p99_us": 2000.0}]),
        summary("raftpy", "failover", [{"value": 200.0}, {"value": 240.0}, {"value": 510.0}], "ms"),
        summary("raftpy", "backtrack100", [{"value": 3, "ms": 0.1}], "round trips"),
    ]


def test_the_overview_says_what_is_absent_and_what_failed() -> None:
    head, *lines = matrix(
        rows(), ["floor", "raftpy", "etcd-raft"], ["seq16", "failover"], {("etcd-raft", "failover"): ""}
    )
    assert head == ["", "floor", "raftpy", "etcd-raft"]
    assert lines == [["seq16, us", "350", "420", "600"], ["failover, ms", "-", "240", "failed"]]


def test_details_have_ranges_and_ratios() -> None:
    lines = {(line[0], line[1]): line[2:] for line in details(rows())}
    assert lines["seq16", "floor"] == ["350", "300 to 400", "350", "950", *"-----", "-"]
    assert lines["seq16", "raftpy"] == [
        "420", "420 to 420", "420", "1,425", "2,500", "3,500", "12.5", "4.25", "1.20", "-",
    ]  # fmt: skip
    assert lines["seq16", "etcd-raft"] == ["600", "600 to 600", "600", "2,000", *"----", "1.71", "0.70"]
    assert lines["failover", "raftpy"][:2] == ["240", "200 to 510"]


def test_a_rate_has_its_percentiles_beside_it() -> None:
    figures = {"rate": 831_289.0, "p50_us": 1_200.0, "p99_us": 2_400.0, "p99_9_us": 3_000.0, "p99_99_us": 3_100.0}
    (line,) = details(
        [summary("etcd-raft", "read1k", [{**figures, "cpu_us_per_op": 3.35, "leader_cpu_us_per_op": 1.2}])]
    )
    assert line[2:10] == ["831,289", "831,289 to 831,289", "1,200", "2,400", "3,000", "3,100", "3.35", "1.20"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0, "0"), (0.456, "0.46"), (12.34, "12.3"), (3.0, "3"), (295123.4, "295,123")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_markdown() -> None:
    table = markdown_table(["work", "n"], [["seq16", "1"]], 1)
    assert table == "| work | n |\n| --- | ---: |\n| seq16 | 1 |"


def test_aims_are_ratios_within_the_run() -> None:
    found = {(aim.work, aim.text): aim for aim in aims(rows())}
    to_floor = found["seq16", "p50, times the floor's"]
    assert (to_floor.measured, to_floor.met) == (1.2, True)
    assert found["seq16", "p99, times the floor's"].met
    assert found["seq16", "p50, times the best durable peer's"].measured == 0.7
    assert found["failover", "ms, median"].met is False
    assert found["failover", "ms, worst"].measured == 510.0
    assert found["backtrack100", "round trips: 2 and one for 60 terms"].met
    assert found["read1k", "reads a second"].met is None


@pytest.mark.parametrize(
    ("work", "ours", "met"),
    [
        ("inflight16", 320.0, True), ("inflight16", 319.0, False),
        ("inflight256", 220.0, True), ("inflight256", 219.0, False),
        ("inflight1k", 220.0, True), ("inflight1k", 219.0, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("best", ["hashicorp-wal", "etcd-raft", "dragonboat-tan"])
def test_what_is_in_flight_is_beside_the_best_that_syncs(work: str, ours: float, met: bool, best: str) -> None:
    theirs = {"hashicorp-wal": 100.0, "etcd-raft": 100.0, "dragonboat-tan": 100.0, best: 200.0, "pysyncobj": 900.0}
    found = aims([summary(system, work, [{"rate": rate}]) for system, rate in {"raftpy": ours, **theirs}.items()])
    aim = next(aim for aim in found if (aim.work, aim.text) == (work, "a second, times the best durable peer's"))
    assert (aim.measured, aim.met) == (ours / 200.0, met)


@pytest.mark.parametrize(("leader", "met"), [(0.8, True), (0.81, False)])
def test_the_leader_has_an_aim_of_its_own(leader: float, met: bool) -> None:
    found = aims([summary("raftpy", "inflight16", [{"cpu_us_per_op": 3.0, "leader_cpu_us_per_op": leader}])])
    aim = next(aim for aim in found if aim.text == "CPU of the leader for a command, us")
    assert (aim.work, aim.measured, aim.met) == ("inflight16", leader, met)
    assert aim_lines([aim])[0][2:] == ["at most 0.80", number(leader), "yes" if met else "no"]


@pytest.mark.parametrize(("percent", "met"), [(0.3, True), (0.31, False)])
def test_a_quiet_node_takes_a_third_of_a_percent(percent: float, met: bool) -> None:
    found = aims([summary("raftpy", "idle", [{"value": percent}], "percent of a core")])
    assert next(aim for aim in found if aim.work == "idle").met is met


def test_the_document_holds_figures_aims_machine_and_failures() -> None:
    outcome = Outcome(
        {(row.system, row.work): row.rounds for row in rows()}, {("etcd-raft", "load"): "RuntimeError: no"}
    )
    outcome.missing = {"hashicorp-wal": "not installed: it needs go"}
    text = document(outcome, systems(), FULL, {"Machine": {"processor": "P"}}, ["benchmarks-latency.svg"])
    assert "| seq16, us | 350 | 420 | - | 600 |" in text
    assert "| seq16 | p50, times the floor's | at most 1.25 | 1.20 | yes |" in text
    assert "- processor: P" in text
    assert "- hashicorp-wal: not installed: it needs go" in text
    assert "- etcd-raft failed at load: RuntimeError: no" in text
    assert "(benchmarks-latency.svg)" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_names_are_checked_and_keep_their_order() -> None:
    assert chosen("raftpy, floor", NAMES, "system") == ["floor", "raftpy"]
    assert chosen(None, NAMES, "system") == NAMES
    with pytest.raises(SystemExit, match="unknown system 'raftpi': known are floor"):
        chosen("floor,raftpi", NAMES, "system")
    with pytest.raises(SystemExit, match="no work given"):
        chosen(" , ", ["seq16"], "work")


def test_lengths_can_be_given() -> None:
    assert lengths_of(arguments(["--quick"])) == QUICK
    given = lengths_of(arguments(["--rounds", "7", "--seconds", "0.5"]))
    assert given == replace(FULL, rounds=7, seconds=0.5)
    with pytest.raises(SystemExit):
        arguments(["--rounds", "0"])


def test_a_selection_without_anything_to_do_is_an_error() -> None:
    with pytest.raises(SystemExit, match="nothing to measure"):
        main(["--quick", "--work", "core1", "--system", "floor"])


def test_a_session_is_described_by_its_parts() -> None:
    (session,) = schedule([systems()["floor"]], ["seq16"], replace(QUICK, rounds=1))
    assert session == Session(1, session.system, "latency", ("seq16",))
