"""A copy of the tree in which one bug at a time is put in, built, and taken out again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from tests.seeded_bugs.bug import Patch, PatchError

ROOT = Path(__file__).parents[2]
MADE = ("__pycache__", "*.html", "*.pyi")
"""What is left behind: what was made of sources, and with it the C files of extension modules; a test's are sources."""
COPIED = ("raftcore", "raftpy", "tests", "docs", "setup.py", "pyproject.toml")
BUILD_LIMIT = 300.0  # seconds
SMOKE_LIMIT = 60.0


@dataclass(frozen=True)
class Done:
    """A command's end: its exit status (None when its time was over, negative for a signal), what it printed, and how
    many seconds it took."""

    status: int | None
    output: str
    seconds: float


def check_built(root: Path = ROOT) -> None:
    """PatchError unless every extension module is there and not older than its source."""
    for source in sorted(root.glob("raft*/**/*.pyx")):
        built = extension_of(source)
        if built is None or built.stat().st_mtime < source.stat().st_mtime:
            raise PatchError(
                f"{source.relative_to(root)} is not built, or changed since: run setup.py build_ext --inplace"
            )


def extension_of(source: Path) -> Path | None:
    """The extension module that was built in place for this Python from a .pyx file."""
    return next((p for p in map(source.with_suffix, EXTENSION_SUFFIXES) if p.exists()), None)


class Workshop:
    """A copy of ``root`` in ``folder``, which must not exist yet; extension modules are copied as they are built."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in COPIED:
            if (root / name).is_dir():
                left_behind = MADE if name == "tests" else (*MADE, "*.c")
                shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns(*left_behind))
            else:
                shutil.copy2(root / name, folder / name)

    def run(self, arguments: Sequence[str], limit: float) -> Done:
        """Runs this Python with these arguments in the copy; after ``limit`` seconds it and its children are ended."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAFTPY_", "PYTEST_"))}
        environment["PYTHONPATH"] = str(self.folder)
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            status = None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return Done(status, output, time.monotonic() - begun)

    @contextmanager
    def seeded(self, bug: Patch) -> Iterator[float]:
        """The copy with the bug in it, built and alive; gives the seconds that took. PatchError when it cannot be."""
        begun = time.monotonic()
        path = self.folder / bug.file
        text = path.read_text()
        path.write_text(bug.patched(text))
        modules = self.modules_of(bug.file)
        built = {file: file.read_bytes() for file in map(self.extension_of, modules)}
        try:
            if modules:
                done = self.run(["-m", "tests.seeded_bugs.build", *modules], BUILD_LIMIT)
                if done.status != 0:
                    raise PatchError(f"{bug.name}: does not build:\n{tail(done.output)}")
            done = self.run(["-m", "tests.seeded_bugs.smoke"], SMOKE_LIMIT)
            if done.status != 0:
                raise PatchError(f"{bug.name}: a trivial cluster does not work with it:\n{tail(done.output)}")
            yield time.monotonic() - begun
        finally:
            path.write_text(text)
            for file, content in built.items():
                file.unlink(missing_ok=True)  # a new file: the old one may still be mapped
                file.write_bytes(content)

    def modules_of(self, file: str) -> list[str]:
        """Dotted names of the extension modules to build after a change of this file."""
        if file.endswith(".pyx"):
            return [file.removesuffix(".pyx").replace("/", ".")]
        if not file.endswith(".pxd"):
            return []
        changed = {file.removesuffix(".pxd").replace("/", ".")}
        return sorted(name for name, used in self.cimports().items() if used & changed)

    def cimports(self) -> dict[str, set[str]]:
        """Extension module -> itself and all modules whose .pxd it sees, directly or through another."""
        direct: dict[str, set[str]] = {}
        for path in [*self.folder.glob("raft*/**/*.pyx"), *self.folder.glob("raft*/**/*.pxd")]:
            name = ".".join(path.relative_to(self.folder).with_suffix("").parts)
            direct.setdefault(name, {name}).update(re.findall(r"^from ([\w.]+) cimport", path.read_text(), re.M))
        for _ in direct:
            direct = {
                name: set().union(*(direct.get(other, {other}) for other in used)) for name, used in direct.items()
            }
        built = {".".join(p.relative_to(self.folder).with_suffix("").parts) for p in self.folder.glob("raft*/**/*.pyx")}
        return {name: used for name, used in direct.items() if name in built}

    def extension_of(self, module: str) -> Path:
        found = extension_of(self.folder / Path(*module.split(".")).with_suffix(".pyx"))
        if found is None:
            raise PatchError(f"{module} is not built")
        return found


def tail(text: str, lines: int = 12) -> str:
    """The last lines of what a command printed."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
