"""Builds a wheel from an unpacked sdist with the Python that runs this, looks inside, and uses it as a stranger would.

    python3.12 .ci/wheel.py SOURCE_FOLDER WORK_FOLDER

The stranger's environment is empty, has no compiler on PATH, and works outside the source tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

SMOKE = Path(__file__).with_name("smoke.py")


def run(*command: str | Path, **options: object) -> None:
    """Runs a command; CalledProcessError ends the script when it fails."""
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def make_venv(folder: Path) -> Path:
    """A new virtual environment; returns its bin folder."""
    venv.create(folder, with_pip=True, clear=True)
    return folder / "bin"


def build(source: Path, work: Path) -> Path:
    bin_folder = make_venv(work / "builder")
    gently = ("nice", "-n", "19")  # tests may run beside it
    run(*gently, bin_folder / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", work / "dist", source)
    # Cython's own .pxd, new in each environment, count as sources: the next Python's build would make all C again.
    tomorrow = time.time() + 86_400
    for made in source.rglob("*.c"):
        os.utime(made, (tomorrow, tomorrow))
    (wheel,) = (work / "dist").glob("raftpy-*.whl")
    return wheel


def check_content(wheel: Path) -> None:
    """What an embedder needs is in, what only the source tree needs is out."""
    names = zipfile.ZipFile(wheel).namelist()
    stems = {name.partition(".")[0] for name in names if name.endswith(".so")}
    problems = [f"{stem}.so has no {stem}.pyi" for stem in sorted(stems) if f"{stem}.pyi" not in names]
    problems += [f"{name} is missing" for name in ("raftcore/py.typed", "raftpy/py.typed") if name not in names]
    if not any(name.endswith(".pxd") for name in names):
        problems.append("no .pxd: nobody can cimport from it")
    for name in names:
        top = name.partition("/")[0]
        if top not in ("raftcore", "raftpy") and not top.endswith(".dist-info"):
            problems.append(f"{name} does not belong in a wheel")
        if name.endswith((".c", ".pyx")):
            problems.append(f"{name} is of use only to a build")
    if not stems:
        problems.append("no extension module at all")
    if problems:
        raise SystemExit(f"{wheel.name}:\n  " + "\n  ".join(problems))
    print(f"{wheel.name}: {len(stems)} extension modules, {wheel.stat().st_size // 1024} KiB", flush=True)


def use(wheel: Path, work: Path) -> None:
    bin_folder = make_venv(work / "stranger")
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PATH": str(bin_folder), "CC": "no-compiler-here", "TMPDIR": str(elsewhere)}
    run(
        bin_folder / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        wheel,
        env=environment,
        cwd=elsewhere,
    )
    run(bin_folder / "python", SMOKE, env=environment, cwd=elsewhere, timeout=180)


def main() -> None:
    source, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    work.mkdir(parents=True)
    wheel = build(source, work)
    check_content(wheel)
    use(wheel, work)


if __name__ == "__main__":
    main()
