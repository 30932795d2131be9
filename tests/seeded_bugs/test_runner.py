"""The runner tells a bug that was found from one that survived, and both from a list that has to be mended.

The bugs here are in Python files and the finders are one-liners, so that nothing has to be built.
"""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from pathlib import Path

import pytest

from tests.seeded_bugs.__main__ import main
from tests.seeded_bugs.bug import Bug, PatchError
from tests.seeded_bugs.bugs import BUGS
from tests.seeded_bugs.finders import Finder, finders
from tests.seeded_bugs.workshop import ROOT, Workshop

FILE = "raftcore/values/changes.py"
OLD = "    UpdateNode = 2\n"
HARMLESS = Bug("one-more-name", "nothing", FILE, OLD, OLD + "    seeded = 2\n", found_by=("tables",))
UNFIT = Bug("unfit", "nothing", FILE, "text that is not there\n", "")
LOOK = "import raftcore.values.changes as c, sys; sys.exit(hasattr(c.ConfChangeType, 'seeded'))"


def finder(code: str, group: str = "tables", limit: float = 60.0) -> Finder:
    return Finder(group, "a look", ("-c", code), limit)


def run(*found: Finder, bugs: tuple[Bug, ...] = (HARMLESS,), arguments: tuple[str, ...] = ()) -> int:
    return main(list(arguments), bugs, lambda bug, seed: list(found))


def test_a_bug_that_a_finder_sees_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder(LOOK)) == 0
    out = capsys.readouterr().out
    assert "1/1 found    one-more-name" in out
    assert "1 found, 0 survived, 0 missed, 0 error" in out


def test_a_bug_that_nobody_sees_survives(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder("pass"), finder("pass", "model")) == 1
    out = capsys.readouterr().out
    assert "survived one-more-name" in out
    assert "asked: model, tables" in out
    assert "0 found, 1 survived" in out


def test_a_finder_that_is_on_record_and_does_not_see_it_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder("pass"), finder(LOOK, "model"), arguments=("--all-finders",)) == 1
    out = capsys.readouterr().out
    assert "missed   one-more-name" in out
    assert "tables used to find this, and did not" in out
    # Not on record as finding it: no matter.
    assert run(finder(LOOK), finder("pass", "model"), arguments=("--all-finders",)) == 0


def test_who_is_on_record_is_asked_first_and_then_nobody_else() -> None:
    assert run(finder("import sys; sys.exit(7)", "model"), finder(LOOK)) == 0


def test_a_finder_that_complains_of_the_clean_tree_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder("print('always'); raise SystemExit(1)")) == 2
    out = capsys.readouterr().out
    assert "a look does not pass on the tree without any bug: status 1:" in out
    assert "always" in out


def test_a_finder_that_cannot_run_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder("print('no such option'); raise SystemExit(2)")) == 2
    assert "a look ended with 2:" in capsys.readouterr().out


def test_a_crash_is_a_find_and_running_out_of_time_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    kill = f"os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    crash = f"import os, raftcore.values.changes as c; hasattr(c.ConfChangeType, 'seeded') and {kill}"
    assert run(finder(crash)) == 0
    assert "ended by signal 11" in capsys.readouterr().out
    assert run(finder("import time; time.sleep(60)", limit=0.5)) == 1


def test_a_patch_that_no_longer_applies_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finder(LOOK), bugs=(UNFIT, HARMLESS)) == 2
    out = capsys.readouterr().out
    assert "unfit: patch no longer applies: its old text stands 0 times in raftcore/values/changes.py, not once" in out
    assert "1 found, 0 survived, 0 missed, 1 error" in out
    with pytest.raises(PatchError, match="stands 2 times"):
        HARMLESS.patched(OLD * 2)


@pytest.mark.parametrize("new", ["    1 +\n", "    UpdateNode = 2\nraise SystemError('seeded')\n"])
def test_a_bug_that_any_import_shows_is_an_error(new: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Bug("broken", "everything", FILE, "    UpdateNode = 2\n", new)
    assert run(finder("raise SystemExit(1)"), bugs=(broken,)) == 2
    assert "broken: a trivial cluster does not work with it:" in capsys.readouterr().out


def test_a_bug_that_does_not_build_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    lease = "raftcore/algorithm/options/lease.pyx"
    broken = Bug("broken", "everything", lease, "    if known is None:\n", "    if known is no name:\n")
    assert run(finder("raise SystemExit(1)"), bugs=(broken,)) == 2
    assert "broken: does not build:" in capsys.readouterr().out


def test_the_outcomes_are_written(tmp_path: Path) -> None:
    out, table = tmp_path / "out.json", tmp_path / "table.md"
    assert run(finder(LOOK), bugs=(HARMLESS, UNFIT), arguments=("--json", str(out), "--markdown", str(table))) == 2
    found, unfit = json.loads(out.read_text())
    assert (found["name"], found["verdict"], list(found["found"])) == ("one-more-name", "found", ["tables"])
    assert (unfit["name"], unfit["verdict"], unfit["found"]) == ("unfit", "error", {})
    assert table.read_text().splitlines()[0] == "| bug | breaks | tables | model | explorer |"
    assert "| unfit | nothing | – | – | – |" in table.read_text()


def test_the_tree_is_as_it_was(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "copy")
    path = workshop.folder / FILE
    before = path.read_text()
    with workshop.seeded(HARMLESS):
        assert path.read_text() != before
        assert workshop.run(["-c", LOOK], 60).status == 1
    assert path.read_text() == before
    assert workshop.run(["-c", LOOK], 60).status == 0


def test_a_command_sees_the_copy_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAFTPY_TEST_SEED", "7")
    workshop = Workshop(tmp_path / "copy")
    code = textwrap.dedent("""
        import os, raftcore, raftpy, tests
        print(raftcore.__file__, raftpy.__file__, tests.__file__)
        print([name for name in os.environ if name.startswith("RAFTPY_")])
    """)
    done = workshop.run(["-c", code], 60)
    assert done.status == 0, done.output
    names, variables = done.output.splitlines()
    assert all(name.startswith(str(workshop.folder)) for name in names.split())
    assert variables == "[]"


def state_of(pid: int) -> str:
    """The letter of a process's state, Z for one that has ended and was not waited for; "gone" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def test_a_command_is_ended_with_its_children(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "copy")
    pid = tmp_path / "pid"
    code = (
        f"import subprocess; p = subprocess.Popen(['sleep', '60']); open({str(pid)!r}, 'w').write(str(p.pid)); p.wait()"
    )
    done = workshop.run(["-c", code], 3)
    assert done.status is None
    assert done.seconds < 30
    child = int(pid.read_text())
    try:
        os.waitpid(child, os.WNOHANG)
    except ChildProcessError:
        pass  # init's by now, or gone
    until = time.monotonic() + 30  # a signal is on its way for as long as a busy machine takes
    while (state := state_of(child)) not in ("gone", "Z") and time.monotonic() < until:
        time.sleep(0.05)
    assert state in ("gone", "Z")


def test_what_is_copied(tmp_path: Path) -> None:
    """All that a finder may need: what some tests compile as well, and nothing that was made of something else."""
    folder = Workshop(tmp_path / "copy").folder
    copied = {path.relative_to(folder) for path in folder.rglob("*.c")}
    assert copied == {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.c")}
    assert Path("tests/sim/disk/failing.c") in copied


def test_what_has_to_be_built(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "copy")
    assert workshop.modules_of("raftcore/values/changes.py") == []
    assert workshop.modules_of("raftcore/algorithm/options/lease.pyx") == ["raftcore.algorithm.options.lease"]
    users = workshop.modules_of("raftcore/membership/quorum.pxd")
    assert "raftcore.membership.quorum" in users
    assert "raftcore.membership.tracker" in users  # cimports it
    assert "raftcore.api.raw_node" in users  # sees the tracker
    assert "raftcore.base.crc" not in users


def test_which_bugs_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [bug.name for bug in BUGS]
    assert main(["--list", "--only", "vote-not-persisted,vote-for-two"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "vote-for-two",
        "vote-not-persisted",
    ]
    drawn = []
    for seed in ("1", "1", "2"):
        assert main(["--list", "--sample", "3", "--seed", seed]) == 0
        drawn.append(capsys.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0].splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "no-such"], "no such bug: no-such"),
        (["--only", ","], "no such bug: ','"),
        (["--sample", "0"], f"--sample must be 1 to {len(BUGS)}, got 0"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_the_file_near_a_bug_is_asked_first() -> None:
    bug = next(bug for bug in BUGS if bug.near)
    assert finders(bug, 1)[0].label == bug.near
    assert [finder.label for finder in finders(bug, 1)[1:]] == [finder.label for finder in finders(None, 1)]
