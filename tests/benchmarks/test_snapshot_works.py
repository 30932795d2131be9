"""Restarts of a large state, and commits beside snapshots: small runs from end to end."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import restart, snapshot_latency


def test_a_node_is_back_from_its_log_and_from_a_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--system", "raftpy", "--rounds", "2", "--seconds", "0.5", "--keys", "2000", "--behind", "500"]
    assert restart.main([*options, "--folder", str(tmp_path / "data"), "--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    assert [row["work"] for row in rows] == ["restart, log", "restart, served", "restart, state"]
    assert all(len(row["rounds"]) == 2 for row in rows)
    assert all(0 < each["value"] < 60_000 for row in rows for each in row["rounds"])
    assert list((tmp_path / "data").iterdir()) == []


def test_commits_are_timed_while_a_snapshot_is_taken_and_sent(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--keys", "2000", "--turns", "1", "--folder", str(tmp_path / "data"), "--json", str(file)]
    assert snapshot_latency.main(options) == 0
    rows = {row["work"]: row for row in json.loads(file.read_text())}
    assert list(rows) == ["commits, quiet", "commits, taken", "commits, sent"]
    assert all(row["rounds"] and row["p99_us"] >= row["p50_us"] > 0 for row in rows.values())
