"""The guard: what is read from callgrind, what is compared with what, and what is said when nothing can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.guard import __main__ as guard
from benchmarks.guard import callgrind, parent
from benchmarks.guard.baseline import Change, compare, environment, find, load, save
from benchmarks.guard.callgrind import CannotCount, parse
from benchmarks.guard.counted import works

DUMP = """# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 4711
part: 2

desc: I1 cache:
desc: Timerange: Basic block 10 - 99
desc: Trigger: Client Request: core[10]
positions: line
events: Ir
summary: 8843276

ob=(1) /usr/lib/x86_64-linux-gnu/libc.so.6
fl=(1) ???
fn=(1) memcpy
0 700000

ob=(2) /tmp/tree/raftcore/log.cpython-311-x86_64-linux-gnu.so
fn=(2) append
10 8000000
+2 43000
cob=(1)
cfn=(1)
calls=12 0
* 700000
-1 276

ob=(1)
fn=(3) realloc
0 100000

totals: 8843276
"""
COUNTED = 8843276 - 700_000 - 100_000
LAST = DUMP.replace("desc: Trigger: Client Request: core[10]", "desc: Trigger: Program termination")
HERE = {"python": "CPython 3.11.7", "compiler": "GCC 12"}


def test_named_dumps_are_counts_and_others_are_not() -> None:
    assert parse([DUMP, LAST, DUMP.replace("core[10]", "append[1]").replace("8843276", "844276")]) == {
        "core[10]": COUNTED,
        "append[1]": 844276 - 800_000,
    }
    with pytest.raises(CannotCount, match="holds no counts"):
        parse([LAST])


@pytest.mark.parametrize(
    ("before", "now", "too_much"),
    [
        (1000, 1030, False),
        (1000, 1031, True),
        (1000, 500, False),
        (None, 1000, False),  # new
        (1000, None, True),  # not counted any more
    ],
)
def test_three_percent_more_is_too_much(before: int | None, now: int | None, too_much: bool) -> None:
    assert Change("core[1]", before, now).too_much is too_much


def test_every_work_of_either_side_is_compared() -> None:
    changes = compare({"a": 100, "gone": 5}, {"new": 7, "a": 110})
    assert [(change.name, change.before, change.now) for change in changes] == [
        ("new", None, 7), ("a", 100, 110), ("gone", 5, None),
    ]  # fmt: skip
    assert changes[1].part == pytest.approx(0.1)


def test_a_baseline_is_kept_for_each_environment(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    assert find(HERE, file) is None
    save(HERE, {"core[1]": 10}, file)
    save({**HERE, "compiler": "GCC 13"}, {"core[1]": 11}, file)
    save(HERE, {"core[1]": 9, "core[10]": 5}, file)
    assert find(HERE, file) == {"core[1]": 9, "core[10]": 5}
    assert find({**HERE, "compiler": "GCC 13"}, file) == {"core[1]": 11}
    assert find({**HERE, "python": "CPython 3.12.1"}, file) is None
    assert len(load(file)) == 2


def test_the_kept_baselines_cover_the_works_there_are() -> None:
    names = set(works())
    for known in load():
        assert set(known["counts"]) == names
        assert set(known["environment"]) == set(environment())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """What this tree counts, for a guard that counts nothing; the parent counts 100."""
    counts = {"core[1]": 104}

    def count(packages: Path = callgrind.ROOT) -> dict[str, int]:
        return dict(counts) if packages == callgrind.ROOT else {"core[1]": 100}

    @contextmanager
    def built(commit: str) -> Iterator[Path]:
        assert commit == "0123456789abcdef"
        yield tmp_path

    monkeypatch.setattr(guard, "count", count)
    monkeypatch.setattr(guard, "environment", lambda: HERE)
    monkeypatch.setattr(parent, "built", built)
    monkeypatch.setattr(parent, "revision", lambda: "0123456789abcdef")
    return counts


def test_growth_beyond_the_baseline_fails(
    counted: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "find", lambda where: {"core[1]": 100})
    assert guard.main([]) == guard.GREW
    said = capsys.readouterr()
    assert "+4.00%  <-- grew" in said.out
    assert "core[1]: more than 3 % more instructions" in said.err
    counted["core[1]"] = 103
    assert guard.main([]) == 0
    assert "nothing grew by more than 3 %" in capsys.readouterr().out


def test_without_a_baseline_the_parent_is_counted(
    counted: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "find", lambda where: None)
    assert guard.main([]) == guard.GREW
    said = capsys.readouterr()
    assert "no baseline for this environment" in said.out
    assert "instructions, beside commit 0123456789ab:" in said.out
    counted["core[1]"] = 101
    assert guard.main([]) == 0


def test_with_nothing_to_compare_it_says_so_and_does_not_pass(
    counted: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> str:
        raise CannotCount("no baseline for this environment, and no parent commit")

    monkeypatch.setattr(guard, "find", lambda where: None)
    monkeypatch.setattr(parent, "revision", fails)
    assert guard.main([]) == guard.NOTHING_TO_COMPARE
    assert "NOT GUARDED: instructions were not compared: no baseline" in capsys.readouterr().err


def test_a_missing_counter_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert callgrind.missing() == "valgrind is not installed"
    assert guard.main([]) == guard.NOTHING_TO_COMPARE


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_what_is_compared_with_depends_on_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "ROOT", tmp_path)
    with pytest.raises(CannotCount, match="no parent commit to measure instead .*not a git repository"):
        parent.revision()
    git(tmp_path, "init", "--quiet")
    (tmp_path / "setup.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    with pytest.raises(CannotCount, match="git fetch --deepen 1"):  # as a shallow clone has it
        parent.revision()
    first = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "setup.py").write_text("2")
    assert parent.revision() == first  # changes not committed are compared with HEAD
    git(tmp_path, "commit", "--quiet", "-am", "two")
    assert parent.revision() == first  # and a commit with its parent


def test_every_work_that_is_counted_runs() -> None:
    for make in works().values():
        make()()
