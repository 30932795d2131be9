"""The measurement of changes of segment: on a disk of its own, until there were as many."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.segments import main, measure, table


def test_it_writes_until_the_segment_has_changed(tmp_path: Path) -> None:
    changed, taken = measure(tmp_path, 1, 4096, 1 << 20)
    assert changed >= 1
    store, plain = taken["the store"], taken["a plain file"]
    assert len(store) == len(plain)
    assert len(store) >= 16, "a segment holds little less than sixteen mebibytes of entries, or more"
    assert min(store + plain) > 0
    assert len(list((tmp_path / "plain").iterdir())) == len(plain) // 16


def test_each_way_of_writing_has_a_line() -> None:
    lines = table({"the store": [0.001] * 999 + [0.5], "a plain file": [0.002]})
    assert lines[2] == "| the store | 1,000 | 1,000 | 1,000 | 500,000 | 500,000 | 500,000 |"
    assert lines[3] == "| a plain file | 1 | 2,000 | 2,000 | 2,000 | 2,000 | 2,000 |"


def test_numbers_are_above_none(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--changes", "0", "--folder", str(tmp_path)])


def test_the_command_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--changes", "1", "--size", "4096", "--batch", "1048576", "--folder", str(tmp_path)])
    assert " changes of segment; batches of 256 entries of 4096 B\n| |" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
