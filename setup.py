"""Builds the extension modules; everything else is in pyproject.toml.

Environment flags ("1" switches on; "" and "0" are off):
  RAFTPY_LINETRACE   line tracing, for line coverage of the .pyx files by coverage.py and Cython's plugin
  RAFTPY_COVERAGE    gcov, unoptimised, with counters for gcov
  RAFTPY_SANITIZE    AddressSanitizer and UndefinedBehaviorSanitizer (run with LD_PRELOAD of the asan runtime)
  RAFTPY_FUZZ        the sanitizers, and counters for a coverage-guided search (clang; python -m tests.fuzz)
  RAFTPY_INVARIANTS  check every invariant of the core after each step (slow; for tests)
  RAFTPY_ANNOTATE    Cython's annotated pages (.html) beside the sources

Flags change the code, not the time stamps: pass --force to build_ext when changing them in a tree already built.
"""

import multiprocessing
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGES = ("raftcore", "raftpy")


def flag(name: str) -> bool:
    """Whether the environment switches `name` on; anything but 0, 1 and nothing is refused."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{name}={value!r}: allowed are 0 and 1")
    return value == "1"


DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": True,
    # Without it Cython writes three methods and a factory for pickling into each class, a sixth of the C; what can be
    # pickled says how (__reduce__).
    "auto_pickle": False,
}
# Nothing here may tie the wheel to this machine's processor: no -march=native, no -mcpu.
# -g0: what Python was built with would put twice as much debug information as code into a wheel.
compile_args = ["-O3", "-g0"]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []
if flag("RAFTPY_LINETRACE"):
    DIRECTIVES["linetrace"] = True
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
    compile_args = ["-O0", "-g"]
if flag("RAFTPY_COVERAGE"):
    DIRECTIVES["emit_code_comments"] = True
    compile_args = ["-O0", "-g", "--coverage"]
    link_args = ["--coverage"]
if flag("RAFTPY_SANITIZE") or flag("RAFTPY_FUZZ"):
    # What they find ends the process; by default undefined behaviour is only printed.
    checks = "address,undefined,fuzzer-no-link" if flag("RAFTPY_FUZZ") else "address,undefined"
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={checks}", "-fno-sanitize-recover=undefined"]
    # Python hands its own -fwrapv on, with which the overflow of a signed integer is defined, and is not looked for.
    compile_args += ["-fno-wrapv"]
    if flag("RAFTPY_FUZZ"):
        # clang finds NULL + 0 in what Cython makes of a constructor without arguments. ASan sees such pointers used.
        compile_args += ["-fno-sanitize=pointer-overflow"]
    link_args = [f"-fsanitize={checks}"]
if flag("RAFTPY_INVARIANTS"):
    macros.append(("RAFTPY_INVARIANTS", "1"))


# What no message, proposal or read passes through is compiled in half the time: it gains nothing from -O3.
COLD = {
    "raftcore.base.buffer",
    "raftcore.check.clone",
    "raftcore.membership.confchange",
    "raftcore.testing.cluster_invariants",
    "raftcore.check.invariants",
    "raftcore.base.options",
    "raftcore.api.status",
    "raftcore.testing.exploration",
    "raftpy.system.durable",
    "raftpy.system.space",
    "raftpy.system.write_back",
    "raftpy.storage.leveldb.wal_records",
    "raftpy.sim.glance",
    "raftpy.sim.process",
    "raftpy.sim.trace",
    "raftpy.sim.world",
}


def arguments(module: str) -> list[str]:
    """The compiler's arguments for a module."""
    words = ["-O1" if word == "-O3" and module in COLD else word for word in compile_args]
    if module.startswith("raftpy.sim."):
        words.append("-ffp-contract=off")  # a seed is to be the same world on every processor: a*b + c rounds twice
    return words


def extensions() -> list[Extension]:
    """One extension module for each .pyx, named after its place in the tree."""
    paths = sorted(p for package in PACKAGES for p in Path(package).rglob("*.pyx"))
    return [
        Extension(
            name,
            [str(path)],
            extra_compile_args=arguments(name),
            extra_link_args=link_args,
            define_macros=macros,
        )
        for path in paths
        for name in [".".join(path.with_suffix("").parts)]
    ]


def main() -> None:
    jobs = os.cpu_count() or 1
    setup(ext_modules=modules(jobs), options={"build_ext": {"parallel": jobs}})


def modules(jobs: int) -> list[Extension]:
    """The extension modules, their C made by up to ``jobs`` processes; an sdist holds none, and has none made."""
    if "sdist" in sys.argv or "egg_info" in sys.argv:
        return extensions()
    # Cython's worker processes need fork: a spawned child would run this file again.
    workers = jobs if multiprocessing.get_start_method() == "fork" else 0
    made: list[Extension] = cythonize(
        extensions(),
        compiler_directives=DIRECTIVES,
        annotate=flag("RAFTPY_ANNOTATE"),
        nthreads=workers,
        # build_ext itself would compile the C once more that was made with other flags.
        force=bool({"-f", "--force"} & set(sys.argv)),
    )
    return made


if __name__ == "__main__":
    main()
