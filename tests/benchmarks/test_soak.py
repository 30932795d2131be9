"""The soak: what its samples come to, and a short run from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.__main__ import anonymous_bytes, disk_bytes, disk_writes, main
from benchmarks.soak.record import FIGURES, MemberSample, Record, Sample, all_written, amplification


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


def test_what_was_written_for_a_byte_of_commands_is_of_all_members() -> None:
    def sample(*members: tuple[int, int, int, int]) -> Sample:
        """Of each: bytes of commands, written for the log, for snapshots, and to the disk."""
        found = {node_id: MemberSample(0, 0, 9, 1, 0, 99, *numbers) for node_id, numbers in enumerate(members, 1)}
        return Sample(0.0, None, None, 0.0, found)

    two = sample((100, 150, 50, 0), (300, 350, 250, 0))
    assert FIGURES["written a byte"](two) == 2.0
    assert FIGURES["with snapshots"](two) == 1.6, "of 500 bytes of log, 300 of snapshots beside them"
    assert FIGURES["to disk a byte"](two) is None, "this system does not say"
    assert FIGURES["to disk a byte"](sample((100, 150, 0, 250))) == 2.5
    assert FIGURES["with snapshots"](sample((100, 150, 0, 250))) == 1.0
    assert FIGURES["written a byte"](sample((0, 0, 0, 0))) is None
    assert FIGURES["with snapshots"](sample((0, 0, 0, 0))) is None


def test_what_was_written_in_all_is_of_all_lives() -> None:
    def seen(commands: int, log: int, snapshots: int) -> MemberSample:
        return MemberSample(0, 0, 9, 1, 0, 99, commands, log, snapshots)

    rows = [
        {1: seen(100, 110, 0), 2: seen(50, 60, 0)},
        {1: seen(400, 440, 200)},
        {1: seen(500, 550, 200), 2: seen(10, 12, 90)},
        {1: seen(500, 550, 300), 2: seen(40, 50, 90)},
    ]
    lives = record(*enumerate(rows)).lives()
    assert sorted((life.commands, life.log, life.snapshots) for life in lives) == [
        (40, 50, 90), (50, 60, 0), (500, 550, 300),
    ]  # fmt: skip
    assert amplification(lives, all_written) == (140 + 60 + 850) / 590
    assert amplification(lives, all_written, lambda member: member.log) == (140 + 60 + 850) / 660


def test_what_disks_took_is_the_system_s_count(tmp_path: Path) -> None:
    (tmp_path / "io").write_text("rchar: 1\nwchar: 2\nread_bytes: 4\nwrite_bytes: 5000\ncancelled_write_bytes: 6\n")
    assert disk_writes(tmp_path / "io") == 5000
    assert disk_writes(tmp_path / "none") == 0


def test_memory_is_the_process_s_own() -> None:
    assert anonymous_bytes("Name:\tx\nVmRSS:\t  3000 kB\nRssAnon:\t    1024 kB\nRssFile:\t 1976 kB\n") == 1 << 20


def test_a_short_soak(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--minutes", "0.1", "--outages", "0", "--sample", "1", "--keys", "1000", "--in-flight", "16"]
    assert main([*options, "--snapshot-entries", "500", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    cuts = int(said.split(" cuts of a log")[0].split()[-1])
    assert cuts >= 2
    assert "written in all for a byte of commands: " in said
    assert "0 members brought up by a snapshot" in said
    lines = [line.split() for line in said.splitlines()]
    samples = [words for words in lines if len(words) == 1 + len(FIGURES) and words[0].isdigit()]
    assert all(float(sample[1 + list(FIGURES).index("written a byte")]) > 1 for sample in samples)
    assert float(samples[-1][1 + list(FIGURES).index("with snapshots")]) > 1
    assert len(samples) >= 2
    assert list(tmp_path.iterdir()) == []
