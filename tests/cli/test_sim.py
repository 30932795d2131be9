"""``raftpy sim``: seeds run, replayed, drawn and shrunk; wrong usage says what is allowed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raftpy.sim.outcome import Failure, Outcome
from raftpy.sim.plan import Plan
from raftpy.sim.totals import Found, Totals
from tests.cli.support import RAFTPY, check_one_line, environment, in_process, raftpy

# The replicas have no time to become alike.
FAILING = Plan(seed=1, nodes=3, duration_s=0.01, settle_s=0.0)
GOOD = Plan(seed=5, duration_s=0.3)


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    path = tmp_path / "failing.json"
    path.write_text(FAILING.to_json())
    return path


def test_run_ends_with_totals() -> None:
    ended = raftpy("sim", "run", "--seeds", "1:4", "--jobs", "2", timeout=120)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.text.splitlines()
    assert re.match(r"3 seeds, 6 runs, [\d,]+ events, [\d.]+ virtual seconds in [\d.]+ s with 2 jobs: ", lines[-4])
    assert lines[-3].startswith("reached: ")
    assert lines[-2].startswith("never reached: ")
    assert lines[-1] == "no failures"
    assert "\x1b" not in ended.text


def test_once_runs_each_once() -> None:
    assert "2 seeds, 2 runs, " in raftpy("sim", "run", "--seeds", "1:3", "--once", timeout=60).text


def test_ctrl_c_ends_a_run_with_the_totals_so_far() -> None:
    running = subprocess.Popen(
        [*RAFTPY, "sim", "run", "--seeds", "0:1000000", "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert running.stdout is not None
    first = running.stdout.readline().decode()  # a line of progress comes after some seconds
    assert " of 1,000,000 seeds" in first
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (1, b"")
    assert re.search(r"^interrupted: \d+ of 1,000,000 seeds are done\n\d+ seeds?, ", out.decode(), re.MULTILINE)


def test_replay_says_what_came_of_a_seed(tmp_path: Path) -> None:
    first, second = (in_process("sim", "replay", "1", "--out", str(tmp_path / "plan.json")) for _ in range(2))
    assert first == second
    assert first.status == 0
    assert first.text.startswith("plan: ")
    assert first.text.endswith("no failure\n")
    again = in_process("sim", "replay", "--plan", str(tmp_path / "plan.json"))
    assert again.text == first.text


def test_replay_of_a_failure_fails(failing: Path) -> None:
    ended = in_process("sim", "replay", "--plan", str(failing))
    assert ended.status == 1
    assert "\nFAILED: " in ended.text


def test_events_are_printed_line_by_line() -> None:
    ended = in_process("sim", "replay", "1", "--events", "--from", "0.0", "--to", "0.5")
    lines = [line for line in ended.text.splitlines() if re.match(r" +\d+\.\d{6}  (node \d|world) ", line)]
    assert len(lines) > 10
    assert all(float(line.split()[0]) <= 0.5 for line in lines)
    assert any(" start " in line for line in lines)


def test_draw_writes_a_page(tmp_path: Path, failing: Path) -> None:
    out = tmp_path / "x.html"
    ended = in_process("sim", "draw", "--plan", str(failing), "--out", str(out), "--from", "0.001")
    assert (ended.status, ended.err) == (0, "")
    assert ended.text.startswith(f"{out}: ")
    assert "; failed at " in ended.text
    text = out.read_text()
    assert text.startswith("<!doctype html>")
    assert "FAILED" in text


def test_shrink_writes_a_test_that_replays(tmp_path: Path, failing: Path) -> None:
    ended = in_process("sim", "shrink", "--plan", str(failing), "--out", str(tmp_path / "new"), "--runs", "25")
    assert ended.status == 0, ended.err
    [written] = (tmp_path / "new").glob("test_*.py")
    assert str(written) in ended.text
    again = in_process("sim", "replay", "--plan", str(written))
    assert again.status == 1
    failed = re.search(r"^FAILED: (.*), at", again.text, re.MULTILINE)
    assert failed
    assert f"still fails by {failed[1]!r}" in ended.text


def test_what_does_not_fail_is_not_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "good.json"
    path.write_text(GOOD.to_json())
    check_one_line(in_process("sim", "shrink", "--plan", str(path), "--out", str(tmp_path)), 1, "does not fail")


# --- A run that finds something -----------------------------------------------------------------------------------


def found_some(monkeypatch: pytest.MonkeyPatch, *found: Found) -> None:
    totals = Totals(seeds=9, runs=18, events=1000, virtual_s=20.0, elapsed_s=2.0, worked_s=4.0, found=list(found))
    totals.reached.update({"often": 5, "never": 0})
    monkeypatch.setattr("raftpy.sim.search.search", lambda *args, **kwargs: kwargs["tell"](totals) or totals)


@pytest.mark.parametrize(("seeds", "status"), [(1_999, 0), (2_000, 1)])
def test_a_rare_branch_that_so_many_seeds_have_left_out_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, seeds: int, status: int
) -> None:
    totals = Totals(seeds=seeds, runs=2 * seeds, elapsed_s=2.0, worked_s=4.0)
    totals.reached.update({"often": 5, "never": 0})
    monkeypatch.setattr("raftpy.sim.search.search", lambda *args, **kwargs: totals)
    ended = in_process("sim", "run", "--seeds", f"1:{seeds + 1}")
    assert ended.status == status
    assert f"never reached{' by so many seeds' if status else ''}: never\n" in ended.text


def test_failures_are_named_with_their_seeds_and_how_to_replay_them(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Failure("durable", "entry 7 is gone\nfrom node 2", 1.5)
    found_some(monkeypatch, *(Found(seed, gone) for seed in range(30, 18, -1)), Found(4, Failure("no end", "", 0.0)))
    ended = in_process("sim", "run", "--seeds", "0:40", "--jobs", "2")
    assert ended.status == 1
    assert "seed 30 fails: durable, at 1.500000 s\n  entry 7 is gone\n  from node 2\n" in ended.text
    assert ended.text.endswith(
        "9 seeds, 18 runs, 1,000 events, 20.0 virtual seconds in 2.0 s with 2 jobs: 500 events a second, "
        "10 times as fast as time; 250 events in a second of processor time\n"
        "reached: 1 of 2 rare branches\n"
        "never reached: never\n"
        "failures: 13\n"
        "  durable: 12 (seeds 19, 20, 21, 22, 23, 24, 25, 26, 27, 28 and 2 more)\n"
        "    raftpy sim replay 19\n"
        "  no end: 1 (seeds 4)\n"
        "    raftpy sim replay 4\n"
    )


def test_each_failure_is_shrunk_if_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(plan: Plan, record: bool = False) -> Outcome:
        return Outcome(Failure("durable", "gone", 0.1), "0", 1)

    monkeypatch.setattr("raftpy.sim.run.run", run)
    found_some(monkeypatch, Found(3, Failure("durable", "gone", 0.1)), Found(4, Failure("not replayed", "", 0.0)))
    ended = in_process("sim", "run", "--seeds", "0:9", "--shrink", "--out", str(tmp_path / "found"))
    assert ended.status == 1
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["test_seed_3_durable.py"]
    assert "seed 4: not shrunk: 'not replayed' is no failure of one run" in ended.text


def test_an_exception_is_a_failure_with_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(plan: Plan, record: bool = False) -> Outcome:
        raise ZeroDivisionError("a bug of the simulator")

    monkeypatch.setattr("raftpy.sim.run.run", run)
    ended = in_process("sim", "replay", "1")
    assert ended.status == 1
    assert "FAILED: exception: ZeroDivisionError" in ended.text
    assert "test_sim.py" in ended.text
    drawn = in_process("sim", "draw", "1", "--out", str(tmp_path / "x.html"))
    check_one_line(drawn, 1, "nothing to draw", "a bug of the simulator")


# --- Wrong usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--seeds", "7"), ("--seeds is '7'", "A:B")),
        (("run", "--seeds", "9:9"), ("--seeds is '9:9'", "from A to B - 1")),
        (("run", "--seeds=-1:5"), ("'-1:5'",)),
        (("run", "--jobs", "0"), ("--jobs", "0 is not in the range 1<=x<=1024")),
        (("run", "--limit", "0"), ("--limit", "x>0")),
        (("run", "--shrink"), ("--shrink needs --out",)),
        (("run", "--out", "x"), ("--out is 'x'", "--shrink")),
        (("replay",), ("give a SEED or --plan FILE",)),
        (("replay", "1", "--plan", "x"), ("one of the two",)),
        (("replay", "x"), ("SEED is 'x'", "a whole number")),
        (("replay", "1", "--from", "2", "--to", "1", "--events"), ("--to is 1", "behind --from, which is 2")),
        (("replay", "1", "--from", "2"), ("need --events",)),
        (("draw", "1"), ("--out",)),
        (("shrink", "1", "--runs", "1"), ("--runs", "x>=2")),
    ],
)
def test_wrong_usage_names_the_value_and_what_is_allowed(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    check_one_line(in_process("sim", *arguments), 2, *words)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    check_one_line(in_process("sim", "replay", "--plan", str(tmp_path / "no")), 1, "cannot read", "no such file")
    (tmp_path / "bad.json").write_text('{"seed": 1, "colour": "red"}')
    bad = in_process("sim", "replay", "--plan", str(tmp_path / "bad.json"))
    check_one_line(bad, 2, "bad.json", "colour")
    (tmp_path / "bad.json").write_bytes(b"\xff")
    check_one_line(in_process("sim", "replay", "--plan", str(tmp_path / "bad.json")), 2, "not UTF-8")
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "x")
    check_one_line(in_process("sim", "draw", "1", "--out", nowhere), 1, "cannot write", "not a directory")
    check_one_line(in_process("sim", "run", "--shrink", "--out", nowhere), 1, "cannot make the folder")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"nodes": 0}, ("nodes is 0", "from 1 on")),
        ({"nodes": "x"}, ("nodes is 'x'", "a whole number")),
        ({"load": {"keys": 0}}, ("keys is 0",)),
        ({"faults": [{"at_s": 0.1, "kind": "kil", "node": 1}]}, ("kind is 'kil'", "kill, power")),
        ({"faults": [{"at_s": 0.1, "kind": "kill", "node": 9}]}, ("kill befalls node 9", "the nodes 1 to 3")),
    ],
)
def test_a_plan_changed_by_hand_that_cannot_be_run(tmp_path: Path, more: dict[str, object], words: list[str]) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"seed": 1, **more}))
    check_one_line(in_process("sim", "replay", "--plan", str(path)), 2, "plan.json", *words)


def test_a_time_at_which_nothing_happens_is_named(tmp_path: Path) -> None:
    out = str(tmp_path / "x.html")
    check_one_line(in_process("sim", "draw", "1", "--out", out, "--from", "1e6"), 1, "nothing happened from 1e+06 s")


def test_no_other_command_loads_the_simulator() -> None:
    code = (
        "import sys, raftpy, raftpy.blocking\n"
        "from raftpy.cli.run import COMMANDS, run\n"
        "for command in COMMANDS: run([command, '--help'])\n"
        "run(['--help']); run(['sim', 'run', '--help'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('raftpy.sim')), file=sys.stderr)\n"
    )
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path, timeout=60)
    assert (done.stderr, done.returncode) == ("[]\n", 0)
