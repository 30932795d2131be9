"""Builds the extension modules; everything else is in pyproject.toml.

Environment flags (each "1" switches on):
  RAFTPY_LINETRACE   line tracing for coverage of the .pyx files
  RAFTPY_SANITIZE    AddressSanitizer and UndefinedBehaviorSanitizer
  RAFTPY_INVARIANTS  check every invariant after each step (slow; for tests)
  RAFTPY_ANNOTATE    cython -a pages beside the sources
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup


def flag(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": True,
}
compile_args = ["-O3"]
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []
if flag("RAFTPY_LINETRACE"):
    DIRECTIVES["linetrace"] = True
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
    compile_args = ["-O0", "-g"]
if flag("RAFTPY_SANITIZE"):
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
    link_args = ["-fsanitize=address,undefined"]

sources = sorted(p for package in ("raftcore", "raftpy") for p in Path(package).rglob("*.pyx"))
extensions = [
    Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        define_macros=macros,
    )
    for path in sources
]
setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        compile_time_env=None,
        annotate=flag("RAFTPY_ANNOTATE"),
    )
)
