"""The README's examples are the files they claim to be, and do what is said; every link leads somewhere."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raftpy.contracts.types import StoreOwner
from raftpy.storage.leveldb.store import LevelDBStorage
from tests.stalls import without_stalls
from tests.storage.layout import log_files

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)\s]*)?\)")


def free_ports(count: int) -> list[int]:
    """UDP ports of loopback that nobody uses right now, all different."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    assert {name: text for name, text in shown if (ROOT / name).read_text() != text} == {}


def test_the_tally_example_runs(tmp_path: Path) -> None:
    code = (ROOT / "examples" / "tally.py").read_text()
    for number, port in zip((7101, 7102, 7103), free_ports(3), strict=True):
        assert str(number) in code
        code = code.replace(str(number), str(port))
    (tmp_path / "tally.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "tally.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, without_stalls(done.stderr)) == (0, "")
    assert done.stdout == "blue 1\nred 1\nblue 2\n"


def test_the_readme_says_what_a_data_directory_takes_and_what_it_must_not_suffer(tmp_path: Path) -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    figure = re.search(r"newest segment takes (\d+) MB of disk from the start", text)
    assert figure is not None
    storage = LevelDBStorage(tmp_path)
    storage.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    try:
        newest = log_files(tmp_path)[0]
        if shutil.disk_usage(tmp_path).free > 8 * 32 << 20:
            assert newest.stat().st_size >> 20 == int(figure[1])
    finally:
        storage.close()
    assert "old copy of one node's data directory" in text


@pytest.mark.parametrize("name", ["tests", "demo"])
def test_ci_finds_the_readmes_commands(name: str) -> None:
    script = ROOT / ".ci" / "readme.py"
    done = subprocess.run([sys.executable, script, name], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("python3 -m venv .venv && ")
    assert done.stdout.count("\n") == 1


def test_an_unknown_command_is_refused() -> None:
    script = ROOT / ".ci" / "readme.py"
    done = subprocess.run([sys.executable, script, "x"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "README.md shows no command 'x'; it shows demo, tests\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target in LINK.findall((ROOT / "README.md").read_text())}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.resolve() not in linked] == []
