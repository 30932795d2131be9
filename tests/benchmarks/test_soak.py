"""The soak: what its samples come to, and a short run from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.__main__ import anonymous_bytes, disk_bytes, main
from benchmarks.soak.record import FIGURES, MemberSample, Record, Sample


def member(first: int, disk: int = 0) -> MemberSample:
    return MemberSample(disk_bytes=disk, memory_bytes=0, open_files=9, first=first, snapshot=0, last=99)


def record(*rows: tuple[float, dict[int, MemberSample]]) -> Record:
    return Record([Sample(at, 100.0, 1000.0 * at, 5.0, members) for at, members in rows])


def test_each_member_whose_log_begins_further_on_was_cut_once() -> None:
    rows = [{1: member(1), 2: member(1)}, {1: member(5), 2: member(1)}, {1: member(5)}, {1: member(9), 2: member(8)}]
    found = record(*enumerate(rows))
    assert found.compactions() == 2, "of member 2 nobody knows what it was before"


def test_figures_count_from_where_every_log_has_been_cut() -> None:
    whole = {1: member(1, 10**9), 2: member(1)}
    half = {1: member(5, 10**9), 2: member(1)}
    rows = [whole, half, half] + [{1: member(9, size * 10**6), 2: member(9)} for size in (1, 2, 4, 8)]
    found = record(*enumerate(rows))
    assert found.growth(FIGURES["disk, MB"]) == (2.0, 8.0)
    assert found.growth(FIGURES["p99, ms"]) == (4.0, 6.0)
    assert record(*enumerate(rows[:5])).growth(FIGURES["disk, MB"]) is None


def test_a_figure_is_the_member_s_that_has_most() -> None:
    sample = Sample(0.0, None, None, 0.0, {1: member(1, 10**6), 2: member(1, 3 * 10**6)})
    assert FIGURES["disk, MB"](sample) == 3.0
    assert FIGURES["p99, ms"](sample) is None


def test_what_files_take_is_counted_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 10_000)
    assert 10_000 <= disk_bytes(tmp_path) <= 16_384


def test_memory_is_the_process_s_own() -> None:
    assert anonymous_bytes("Name:\tx\nVmRSS:\t  3000 kB\nRssAnon:\t    1024 kB\nRssFile:\t 1976 kB\n") == 1 << 20


def test_a_short_soak(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--minutes", "0.1", "--outages", "0", "--sample", "1", "--keys", "50", "--in-flight", "16"]
    assert main([*options, "--snapshot-entries", "500", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    cuts = int(said.split(" cuts of a log")[0].split()[-1])
    assert cuts >= 2
    assert "0 members brought up by a snapshot" in said
    assert list(tmp_path.iterdir()) == []
