"""The benchmark of the checker: what it hands to porcupine, what it prints, and that a wrong answer ends it."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from benchmarks import linearizability
from benchmarks.compare import build
from raftpy.sim.linearizability import Input, Kind, Operation, Output
from tests.sim import published

NAMES = ("kv/c01-ok.txt", "jepsen/etcd_000.log", "jepsen/etcd_002.log")

FAKE = """#!{python}
import json, sys
answer = {answer!r}
operations = [json.loads(line) for line in sys.stdin]
print(json.dumps({{"linearizable": answer, "us": 1000.0 * len(operations), "checks": 3}}))
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("HISTORIES", "JEPSEN", "KV"):
        found = {name: verdict for name, verdict in getattr(published, table).items() if name in NAMES}
        monkeypatch.setattr(published, table, found)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands where porcupine's program would be, and takes every history for linearizable."""
    program = tmp_path / "porcupine"
    program.write_text(FAKE.format(python=sys.executable, answer=True))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(build, "program", lambda name: program)
    return program


def test_operations_as_lines() -> None:
    text = linearizability.lines(
        [
            Operation(1, "x", 2, 5, Input(Kind.SWAP, "b", "a"), Output(done=False)),
            Operation(2, "x", 3, None, Input(Kind.WRITE, "c"), None),
            Operation(3, None, 4, 6, Input(Kind.READ), Output(value=None)),
        ]
    )
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert first.pop("expected") == "a"
    assert first == {"client": 1, "key": "x", "kind": "swap", "call": 2, "value": "b", "return": 5, "done": False}
    assert second == {"client": 2, "key": "x", "kind": "write", "call": 3, "value": "c"}
    assert third["seen"] is None


def test_a_table_without_porcupine(
    few: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "missing", lambda tool: f"not installed: it needs {tool}")
    monkeypatch.setattr(linearizability, "MADE", {"few": linearizability.Shape(20)})
    linearizability.main(["--seconds", "0"])
    printed = capsys.readouterr()
    assert "porcupine could not be run: not installed: it needs go" in printed.err
    rows = [line.split(" | ") for line in printed.out.splitlines()]
    assert [row[0] for row in rows if row[0].startswith("| kv")] == ["| kv/c01-ok.txt"]
    assert any(row[0] == "| few" for row in rows)


def test_porcupine_is_asked_about_every_operation(few: None, fake: Path) -> None:
    assert linearizability.by_porcupine("kv/c01-ok.txt", 0) == 1000.0 * len(published.operations("kv/c01-ok.txt"))


def test_a_wrong_verdict_of_porcupine_ends_it(few: None, fake: Path) -> None:
    with pytest.raises(RuntimeError, match="porcupine takes jepsen/etcd_000.log for"):
        linearizability.by_porcupine("jepsen/etcd_000.log", 0)


def test_a_wrong_verdict_of_ours_ends_it(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    published.HISTORIES["jepsen/etcd_000.log"] = True
    with pytest.raises(RuntimeError, match="jepsen/etcd_000.log is taken for"):
        linearizability.by_us("jepsen/etcd_000.log", 0)


def test_a_ratio_says_how_many_times_as_long_porcupine_takes() -> None:
    assert linearizability.row("one", 1000, 20.0, 50.0) == "| one | 1,000 | 20 | 50 | 2.5 |"
    assert linearizability.row("one", 1000, 20.0, None) == "| one | 1,000 | 20 | | |"
