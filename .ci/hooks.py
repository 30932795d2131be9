"""Builds, in a copy of a built tree, the modules that check the invariants after each step, and runs tests on them.

    python .ci/hooks.py COPY TEST...

COPY is a new folder. Only the modules whose code depends on RAFTPY_INVARIANTS are compiled again; the others are taken
as they are, so that this takes seconds and not minutes. Exits with pytest's status.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("raftcore", "raftpy", "tests", "docs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
MACROS = ("CHECK_EACH_STEP", "REFERRED_TO", "LEAST_PIECE")
"""Names that RAFTPY_INVARIANTS decides on."""
BUILD = """
import sys
import setup as tree
from Cython.Build import cythonize
from setuptools import setup
wanted = [extension for extension in tree.extensions() if extension.name in sys.argv[1:]]
setup(
    name="hooks", packages=[], script_args=["build_ext", "--inplace"],
    ext_modules=cythonize(wanted, compiler_directives=tree.DIRECTIVES),
)
"""
CHECK = "import raftcore.testing.cluster_invariants as c; assert c.CHECKED_EACH_STEP, 'the hooks are not in this build'"


def copy_tree(copy: Path) -> None:
    """The sources and what was built of them."""
    copy.mkdir()
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, copy / part)


def modules() -> list[str]:
    """Names of the modules that are compiled otherwise with the hooks."""
    sources = (path for path in (ROOT / "raftcore").rglob("*.pyx") if any(name in path.read_text() for name in MACROS))
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources)


def main(copy: Path, tests: list[str]) -> int:
    from_here = ROOT.parent / "shared" / "interaction"
    environment = {"RAFTPY_TRANSCRIPTS": str(from_here), **os.environ, "RAFTPY_INVARIANTS": "1"}
    copy_tree(copy)
    print(f"with the hooks: {', '.join(modules())}", flush=True)
    for command in (["-c", BUILD, *modules()], ["-c", CHECK]):
        done = subprocess.run(
            [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return done.returncode
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
