"""Runs every linter over the tree, with the configuration of pyproject.toml, and says which of them complained.

Called with the Python of an environment that has the `lint` dependency group and an editable install of the tree
(stubtest imports the extension modules and compares them with their stubs).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("raftcore", "raftpy")
TREES = (*PACKAGES, "tests", "benchmarks", "examples", ".ci")


def files(*suffixes: str) -> list[str]:
    """All files of the two packages with one of the suffixes, relative to the root."""
    return sorted(
        str(path.relative_to(ROOT)) for pkg in PACKAGES for s in suffixes for path in (ROOT / pkg).rglob("*" + s)
    )


def extension_modules() -> list[str]:
    """Dotted names of all extension modules."""
    return [path.removesuffix(".pyx").replace("/", ".") for path in files(".pyx")]


def linters() -> list[list[str]]:
    """Command lines, each beginning with the name of a script in the environment's bin folder."""
    trees = [tree for tree in TREES if (ROOT / tree).exists()]
    allowlist = Path(".ci/stubtest-allowlist.txt")
    stubtest = ["stubtest", *extension_modules(), "--mypy-config-file", "pyproject.toml"]
    if (ROOT / allowlist).exists():
        stubtest += ["--allowlist", str(allowlist), "--ignore-unused-allowlist"]
    return [
        ["ruff", "check", *trees, "setup.py"],
        ["cython-lint", *files(".pyx", ".pxd")],
        ["mypy"],
        stubtest,
    ]


def main() -> None:
    scripts = Path(sys.executable).parent
    # cython-lint calls pycodestyle by name; stubtest imports from the tree, installed or only built in place.
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    failed = []
    for script, *arguments in linters():
        print(f"--- {script}", flush=True)
        if subprocess.run([scripts / script, *arguments], cwd=ROOT, env=environment, check=False).returncode:
            failed.append(script)
    if failed:
        raise SystemExit(f"lint failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
