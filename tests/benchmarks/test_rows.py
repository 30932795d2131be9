"""Rows: percentiles, medians over rounds, the JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.rows import Row, median, percentiles, summary, write_json

FIELDS = ["system", "work", "p50_us", "p99_us", "p99_9_us", "p99_99_us", "rate", "ns_per_entry", "cpu_us_per_op"]
FIELDS += ["leader_cpu_us_per_op", "value", "unit", "rounds"]


def test_percentiles_are_of_the_sorted_times() -> None:
    taken = [number / 1e6 for number in range(20_000, 0, -1)]
    high = {"p99_us": 19_801.0, "p99_9_us": 19_981.0, "p99_99_us": 19_999.0}
    assert percentiles(taken) == {"p50_us": 10_001.0, **high, "rate": round(20_000 / sum(taken), 1)}


def test_percentiles_of_one_time() -> None:
    high = {"p99_us": 2000.0, "p99_9_us": 2000.0, "p99_99_us": 2000.0}
    assert percentiles([0.002]) == {"p50_us": 2000.0, **high, "rate": 500.0}


@pytest.mark.parametrize(("values", "middle"), [([3.0], 3.0), ([9.0, 1.0, 5.0], 5.0), ([4.0, 1.0, 2.0, 9.0], 3.0)])
def test_median(values: list[float], middle: float) -> None:
    assert median(values) == middle


def test_a_row_has_the_median_of_each_figure_and_all_rounds() -> None:
    rounds = [{"p50_us": 3.0, "rate": 10.0, "extra": 1.0}, {"p50_us": 1.0, "rate": 30.0}, {"p50_us": 2.0, "rate": 20.0}]
    row = summary("raftpy", "seq16", rounds)
    assert (row.p50_us, row.rate, row.p99_us, row.value, row.unit) == (2.0, 20.0, None, None, None)
    assert row.rounds == rounds


def test_the_json_form(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    write_json(file, [summary("raftpy", "failover", [{"value": 210.5}], "ms"), Row("floor", "seq16", p50_us=338.0)])
    first, second = json.loads(file.read_text())
    assert list(first) == FIELDS
    assert (first["value"], first["unit"], first["p50_us"], first["rounds"]) == (210.5, "ms", None, [{"value": 210.5}])
    assert (second["system"], second["work"], second["p50_us"], second["unit"]) == ("floor", "seq16", 338.0, None)
