"""What docs/testing.md says about a run of the tests: what is left out is said, and a seed replays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRANSCRIPTS = "tests/interaction/test_transcripts.py"


def run_pytest(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of its own, from the root, with the variables given and none of ours inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAFTPY_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_left_out_is_counted_and_explained(tmp_path: Path) -> None:
    done = run_pytest("--collect-only", "-q", TRANSCRIPTS, RAFTPY_TRANSCRIPTS=str(tmp_path / "none"))
    assert done.returncode == 0, done.stdout + done.stderr
    left_out = re.search(r"left out: (\d+) tests marked needs_shared \((.*)\)\n", done.stdout)
    assert left_out is not None, done.stdout
    assert int(left_out[1]) >= 40
    assert left_out[2] == f"no folder {tmp_path / 'none'}; set RAFTPY_TRANSCRIPTS to a copy of the transcripts"
    assert "test_shared" not in done.stdout
    assert "test_own" in done.stdout


def test_nothing_is_left_out_where_everything_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    done = run_pytest("--collect-only", "-q", TRANSCRIPTS, RAFTPY_TRANSCRIPTS=str(tmp_path), RAFTPY_TEST_ALL="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out" not in done.stdout
    assert "test_shared[a.txt-memory]" in done.stdout


def test_a_run_that_must_be_whole_does_not_start_otherwise(tmp_path: Path) -> None:
    done = run_pytest("--collect-only", TRANSCRIPTS, RAFTPY_TRANSCRIPTS=str(tmp_path / "none"), RAFTPY_TEST_ALL="1")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"RAFTPY_TEST_ALL=1, but \d+ tests are needs_shared: no folder", done.stderr + done.stdout)


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A test file that prints its seed, and a number that hypothesis chose."""
    path = tmp_path / "test_probe.py"
    path.write_text(
        "from hypothesis import given, settings, strategies as st\n"
        "def test_seed(seed):\n"
        "    print('got', seed)\n"
        "@settings(max_examples=1, database=None)\n"
        "@given(number=st.integers())\n"
        "def test_hypothesis(number):\n"
        "    print('got', number)\n"
        "def test_failing(seed):\n"
        "    assert seed == 'no number'\n"
    )
    return path


def numbers(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"got (-?\d+)", done.stdout)


def test_a_seed_replays_and_another_does_not(probe: Path) -> None:
    arguments = ("-s", "-p", "tests.conftest", "--rootdir", str(probe.parent), str(probe))
    first, again = (run_pytest(*arguments, "--seed", "7") for _ in range(2))
    by_variable = run_pytest(*arguments, RAFTPY_TEST_SEED="7")
    other = run_pytest(*arguments, "--seed", "8")
    assert len(numbers(first)) >= 2
    assert numbers(first) == numbers(again) == numbers(by_variable)
    assert numbers(first)[0] != numbers(other)[0]
    assert "seed: 7 (replay: pytest --seed 7)" in first.stdout


def test_a_failure_says_how_to_replay_it(probe: Path) -> None:
    done = run_pytest("-p", "tests.conftest", "--rootdir", str(probe.parent), str(probe), "--seed", "7")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"seed = \d+; replay: pytest '.*test_failing' --seed 7", done.stdout), done.stdout
