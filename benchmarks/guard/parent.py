"""The commit before this one, built in a temporary folder, for an environment without a baseline."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.guard.callgrind import ROOT, CannotCount

BUILD_S = 900.0


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        raise CannotCount("git is not installed") from None
    if done.returncode:
        raise CannotCount((done.stderr.strip().splitlines() or ["git failed"])[-1])
    return done.stdout.strip()


def revision() -> str:
    """What to compare with: HEAD when the code has changed since, else its first parent. CannotCount without."""
    try:
        if _git("status", "--porcelain", "--untracked-files=no", "--", "raftcore", "raftpy", "setup.py"):
            return _git("rev-parse", "--verify", "HEAD")
        return _git("rev-parse", "--verify", "HEAD^1")
    except CannotCount as error:
        raise CannotCount(
            f"no baseline for this environment, and no parent commit to measure instead ({error}); "
            "a clone with history (git fetch --deepen 1) has one"
        ) from None


@contextmanager
def built(commit: str) -> Iterator[Path]:
    """A folder with the packages of a commit, compiled as an install compiles them. CannotCount when that fails."""
    with tempfile.TemporaryDirectory(prefix="raftpy-parent-") as folder:
        archive, tree, target = (Path(folder) / name for name in ("tree.tar", "tree", "packages"))
        _git("archive", "--format", "tar", "--output", str(archive), commit)
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(tree)
        # With Cython at hand the same one makes both; without it each build fetches the newest, as installs do.
        here = ["--no-build-isolation"] if importlib.util.find_spec("Cython") else []
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *here, "--target", str(target)]
        try:
            done = subprocess.run(
                [*command, str(tree)], capture_output=True, text=True, timeout=BUILD_S, check=False, cwd=folder
            )
        except subprocess.TimeoutExpired:
            raise CannotCount(f"building the parent commit took more than {BUILD_S:.0f} s") from None
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-8:])
            raise CannotCount(f"the parent commit {commit[:12]} does not build:\n{said}")
        yield target
