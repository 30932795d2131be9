"""A copy of the tree with the core built for measuring, in which the core's tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("raftcore", "raftpy", "tests", "docs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
TESTS = ("tests/unit", "tests/core", "tests/fuzz", "tests/explore", "tests/model", "tests/paper", "tests/interaction")
BUILD_LIMIT = 1800.0  # seconds
TESTS_LIMIT = 3600.0
SEED = "1"  # the same schedules in each run: what a run does not reach has to be listed exactly


class Failed(Exception):
    """The build or a test failed; no figure comes of it."""


class Copy:
    """The tree in ``folder``, which must not exist yet; nothing of it is built."""

    def __init__(self, folder: Path, flag: str) -> None:
        self.folder = folder
        transcripts = {"RAFTPY_TRANSCRIPTS": str(ROOT.parent / "shared" / "interaction")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAFTPY_", "PYTEST_"))}
        given = {name: os.environ[name] for name in transcripts if name in os.environ}
        self.environment = {**kept, **transcripts, **given, "PYTHONPATH": str(folder), flag: "1"}
        folder.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.so"))
            else:
                shutil.copy2(ROOT / name, folder / name)

    def run(self, arguments: Sequence[str], limit: float, **environment: str) -> str:
        """What a command of this Python prints. Failed, with the end of it, unless it ends well within ``limit``."""
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {limit:.0f} s: {' '.join(arguments)}") from None
        if done.returncode:
            end = "\n".join(done.stdout.splitlines()[-30:])
            raise Failed(f"status {done.returncode}: {' '.join(arguments)}\n{end}")
        return done.stdout

    def build(self) -> None:
        self.run(["-m", "tests.covered.build"], BUILD_LIMIT)

    def test(self, tests: Sequence[str], jobs: int, before: Sequence[str] = ("-m",)) -> None:
        """Runs pytest on each of the tests, ``jobs`` at a time; ``before`` is what comes before "pytest"."""
        options = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "--timeout", "0", "--seed", SEED)

        def one(path: str) -> str:
            data = str(self.folder / f".coverage.{path.replace('/', '-')}")
            return self.run([*before, "pytest", *options, path], TESTS_LIMIT, COVERAGE_FILE=data)

        with ThreadPoolExecutor(jobs) as pool:
            for path, printed in zip(tests, pool.map(one, tests), strict=True):
                print(f"{path}: {printed.splitlines()[-1]}", flush=True)
