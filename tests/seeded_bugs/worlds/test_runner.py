"""Some seeded bugs of the driver are found, and the runner says so; and what it says of bugs that it cannot judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.seeded_bugs.bug import Patch
from tests.seeded_bugs.worlds.__main__ import main

QUICK = ("boot-counter-not-raised", "head-behind-records-not-counted", "ticks-go-on-after-the-stop")
"""Those that need no building and few worlds."""
FILE = "raftpy/storage/identity.py"
OLD = "MAX_BOOTS = 2**32 - 1\n"


def test_some_are_found_by_the_first_worlds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, table = tmp_path / "out.json", tmp_path / "table.md"
    arguments = ("--only", ",".join(QUICK), "--seeds", "40", "--json", str(out), "--markdown", str(table))
    assert main(arguments) == 0, capsys.readouterr().out
    found = json.loads(out.read_text())
    assert {one["name"] for one in found} == set(QUICK)
    assert all(one["verdict"] == "found" and one["check"] and 1 <= one["seed"] <= 40 for one in found)
    assert table.read_text().count("\n") == 2 + len(QUICK)


def test_what_no_world_shows_survives(capsys: pytest.CaptureFixture[str]) -> None:
    harmless = Patch("harmless-change", "nothing", FILE, OLD, OLD + "FEWEST_BOOTS = 1\n")
    unfit = Patch("no-such-text", "nothing", FILE, "no such text", "")
    broken = Patch("does-not-even-run", "nothing", FILE, OLD, OLD + "raise SystemError('seeded')\n")
    assert main(["--seeds", "1"], all_bugs=(harmless,)) == 1
    assert "survived harmless-change" in capsys.readouterr().out
    assert main(["--seeds", "1"], all_bugs=(unfit, broken)) == 2
    out = capsys.readouterr().out
    assert "no-such-text: patch no longer applies: its old text stands 0 times" in out
    assert "does-not-even-run: the search ended with 1" in out
    assert "0 found, 0 survived, 2 error" in out
