"""The figures of many groups: one short run from end to end."""

from __future__ import annotations

import re

import pytest

from benchmarks.groups import main


def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--groups", "1,5", "--in-flight", "8", "--seconds", "0.3"])
    rows = re.findall(
        r"^\| (\d+) \| ([\d.]+) s \| ([\d.]+)% \| ([\d,]+) \| ([\d.]+) \|$", capsys.readouterr().out, re.MULTILINE
    )
    assert [groups for groups, *_ in rows] == ["1", "5"]
    for _, elected, _, commits, syncs in rows:
        assert float(elected) > 0
        assert int(commits.replace(",", "")) > 0
        assert 0 < float(syncs) <= 3
