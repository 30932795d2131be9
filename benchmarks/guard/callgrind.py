"""Counts instructions with valgrind's callgrind: the same program gives the same counts on a busy machine too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUESTS = Path(__file__).with_name("requests.c")
LONGEST_S = 900.0

NAME = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)
COST = re.compile(r"^(?:\+\d+|-\d+|\*|\d+) \d+$")
LIBC = re.compile(r"/(?:libc|ld-linux|ld-musl)[-.\w]*\.so")


class CannotCount(RuntimeError):
    """Nothing can be counted here, and why."""


def missing() -> str | None:
    """Why nothing can be counted here; None when it can."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if shutil.which(compiler()[0]) is None:
        return f"the C compiler {compiler()[0]!r} is not installed"
    return None


def compiler() -> list[str]:
    """The C compiler that Python's extensions are made with."""
    given = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return [word for word in shlex.split(str(given)) if word != "ccache"]


def count(packages: Path = ROOT) -> dict[str, int]:
    """Instructions of each work, with the packages that lie in a folder. CannotCount when that is not possible."""
    if (reason := missing()) is not None:
        raise CannotCount(reason)
    with tempfile.TemporaryDirectory(prefix="raftpy-guard-") as folder:
        tree, requests, out = (Path(folder) / name for name in ("tree", "requests.so", "out"))
        # Copies, and below no virtual environment: then no path differs in length between two trees, and what lies on
        # the heap lies where it lay before. These works need nothing that is installed.
        for where, package in ((packages, "raftcore"), (packages, "raftpy"), (ROOT, "benchmarks")):
            shutil.copytree(
                where / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.html")
            )
        _run([*compiler(), "-O1", "-shared", "-fPIC", "-o", str(requests), str(REQUESTS)], os.environ.copy(), ROOT)
        command = [
            str(shutil.which("valgrind")), "--tool=callgrind", "--instr-atstart=no", "-q",
            f"--callgrind-out-file={out}", os.path.realpath(sys.executable), "-S", "-m", "benchmarks.guard.counted",
            str(requests),
        ]  # fmt: skip
        _run(
            command,
            {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            tree,
        )
        dumps = sorted(Path(folder).glob("out*"), key=lambda path: (len(path.name), path.name))
        return parse(path.read_text() for path in dumps)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    what = Path(command[0]).name
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        raise CannotCount(f"{what} took more than {LONGEST_S:.0f} s") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise CannotCount(f"{what} ended with status {done.returncode}: " + "\n".join(said))


def parse(dumps: Iterable[str]) -> dict[str, int]:
    """Counts by name from callgrind's dumps; those that nobody asked for have no name and are left out."""
    counts: dict[str, int] = {}
    for text in dumps:
        if (name := NAME.search(text)) is not None:
            counts[name[1].strip()] = outside_libc(text)
    if not counts:
        raise CannotCount("callgrind's output holds no counts")
    return counts


def outside_libc(text: str) -> int:
    """Instructions of a dump that are not the C library's.

    What memcpy and realloc take depends on where on the heap a block happens to lie, by more than the guard's limit.
    The summary line is the total: the lines of functions that were being called when counting began say too much.
    """
    names: dict[str, str] = {}  # objects are named once, and then by number
    summary = SUMMARY.search(text)
    total, of_libc, inclusive = int(summary[1]) if summary else 0, False, False
    for line in text.splitlines():
        if line.startswith(("ob=", "cob=")):
            number, _, name = line.partition("=")[2].partition(" ")
            if name:
                names[number] = name
            if line.startswith("ob="):
                of_libc = LIBC.search(names[number]) is not None
        elif line.startswith("calls="):
            inclusive = True  # the next line is what the callee took, which is counted where the callee is
        elif COST.match(line):
            if of_libc and not inclusive:
                total -= int(line.split()[1])
            inclusive = False
    return total
