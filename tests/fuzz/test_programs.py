"""The targets of `python -m tests.fuzz`: a bounded search in each run, every input that once failed, and no leak."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from raftcore.base.errors import InvariantViolation
from tests.fuzz import __main__ as command
from tests.fuzz import engine, guided

ROOT = Path(__file__).parents[2]
TARGETS = {"decode": 40, "step": 300}  # and how much of what can be seen is seen at least


@pytest.mark.parametrize("what", TARGETS)
def test_a_bounded_search(what: str, seed: int) -> None:
    """From the corpus on, or as far as a slow machine comes in 40 seconds."""
    target = guided.target_of(what)
    seeds = engine.read_corpus(command.CORPUS / what)
    outcome = engine.search(target, seeds, seed, seconds=40, runs=len(seeds) + 300)
    if outcome.failure is not None:
        data, error = outcome.failure
        small = engine.minimised(target, data, error, seconds=30)
        raise AssertionError(f"seed {seed}: {small.hex()}, to be kept in tests/fuzz/corpus/{what}") from error
    assert len(outcome.seen) > TARGETS[what], "the corpus reaches what the targets are about, or it proves nothing"


@pytest.mark.parametrize(
    "path",
    [path for what in TARGETS for path in sorted((command.CORPUS / what).glob("*"))],
    ids=lambda path: f"{path.parent.name}-{path.name}",
)
def test_an_input_of_the_corpus(path: Path) -> None:
    """Those named finding-* failed once."""
    engine.guarded(guided.target_of(path.parent.name), path.read_bytes())


def broken(data: bytes) -> set[str]:
    """A target that fails on three bytes in order, and shows each step on the way there."""
    seen = set()
    for count, byte in enumerate(b"\x51\x52\x53", 1):
        if byte not in data:
            return seen
        data = data[data.index(byte) + 1 :]
        seen.add(f"{count} found")
    raise InvariantViolation(f"X{len(data)}: broken")


def test_a_search_finds_what_blind_tries_do_not_and_makes_it_small(seed: int) -> None:
    outcome = engine.search(broken, [bytes(40)], seed, seconds=60)
    assert outcome.failure is not None, f"seed {seed}: {outcome.runs} runs"
    data, error = outcome.failure
    assert engine.minimised(broken, data, error) == b"\x51\x52\x53"


def test_a_search_is_the_same_again_with_the_same_seed(seed: int) -> None:
    outcomes = [engine.search(broken, [bytes(40)], s, runs=200) for s in (seed, seed, seed + 1)]
    # A search may hit what is broken before it keeps anything: what it was hit with tells the searches apart, too.
    first, again, other = ((o.runs, o.corpus, o.failure[0] if o.failure else None) for o in outcomes)
    assert first == again
    assert first != other


def test_an_input_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(data: bytes) -> set[str]:
        while True:
            pass

    monkeypatch.setattr(engine, "HANG_S", 0.2)
    outcome = engine.search(hangs, [b"x"], 1, runs=1)
    assert outcome.failure is not None
    assert isinstance(outcome.failure[1], engine.Hang)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "tests.fuzz", *arguments)


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """With Python's own allocator, which alone counts blocks: a run under the sanitizers may have chosen malloc()."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONMALLOC"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_command_searches_and_replays(tmp_path: Path) -> None:
    done = run_command("decode", "--seconds", "2", "--engine", "portable", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed: 7; engine: portable" in done.stdout
    (tmp_path / "any").write_bytes(random.Random(7).randbytes(50))
    done = run_command("step", "--replay", str(tmp_path / "any"))
    assert (done.returncode, done.stdout) == (0, "1 inputs, 0 failed\n"), done.stdout + done.stderr


def test_a_finding_is_saved_small_and_said_how_to_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = command.parsed(["step", "--seconds", "60", "--seed", "1", "--findings", str(tmp_path)])
    assert command.portable(options, broken, [bytes(40)]) == 1
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"\x51\x52\x53"
    assert f"replay: python -m tests.fuzz step --replay {path}" in capsys.readouterr().err
    assert command.replay(broken, [path]) == 1


def test_a_guided_search_says_what_it_misses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided, "missing", lambda: "there is no clang on PATH")
    assert command.main(["decode", "--engine", "guided"]) == 2
    assert "no guided search: there is no clang on PATH" in capsys.readouterr().err


def test_what_only_the_sanitizers_see_is_replayed_under_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed: list[Path] = []

    def searched(what: str, seconds: float, seed: int, corpus: Path, findings: Path) -> int:
        (findings / "crash-1").write_bytes(b"\x01")  # an input that fails nowhere else
        return 77

    monkeypatch.setattr(guided, "missing", lambda: None)
    monkeypatch.setattr(guided, "search", searched)
    monkeypatch.setattr(guided, "replay", lambda what, files: replayed.extend(files) or 77)
    assert command.main(["decode", "--engine", "guided", "--findings", str(tmp_path)]) == 1
    path = tmp_path / "crash-1"
    assert f"replay: python -m tests.fuzz decode --engine guided --replay {path}" in capsys.readouterr().err
    assert command.main(["decode", "--engine", "guided", "--replay", str(path)]) == 1
    assert replayed == [path]


def test_a_corpus_does_not_grow_by_its_own_inputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guided, "missing", lambda: None)
    monkeypatch.setattr(guided, "search", lambda *arguments: 0)
    (tmp_path / "learnt").write_bytes(b"an input of an earlier search")
    for _ in range(2):
        assert command.main(["decode", "--engine", "guided", "--corpus", str(tmp_path)]) == 0
    inputs = engine.read_corpus(tmp_path)
    assert b"an input of an earlier search" in inputs
    assert len(inputs) == len(set(inputs)) == 1 + len(set(engine.read_corpus(command.CORPUS / "decode")))


def test_nothing_is_lost_in_many_steps(seed: int) -> None:
    """In a process of its own, in which nothing else allocates."""
    done = run_command("leaks", "--steps", "50000", "--seed", str(seed % 1000))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing has grown" in done.stdout


LEAKING = """
import sys
from tests.fuzz import leaks

lost = []

def leaking(seed):
    for steps in range(100, 1_000_000, 100):
        lost.append(object())
        yield steps

leaks.cycles = leaking
sys.exit(leaks.main(10_000, 1))
"""


def test_a_leak_of_one_object_a_cycle_is_seen() -> None:
    done = run_python("-c", LEAKING)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "100 cycles" in done.stdout
    assert "blocks more, at most 50 allowed" in done.stdout


def test_leaks_are_not_looked_for_where_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "getallocatedblocks", lambda: 0)
    assert command.main(["leaks", "--steps", "1000", "--seed", "1"]) == 2
    assert "PYTHONMALLOC" in capsys.readouterr().err
