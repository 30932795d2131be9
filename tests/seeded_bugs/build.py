"""``python -m tests.seeded_bugs.build MODULE...``: builds these extension modules in place, in the tree it is run in.

As setup.py does, with its directives and its environment flags, but only what is named, and with less optimisation:
what is built here is run for seconds.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from Cython.Build import cythonize
from setuptools import Distribution, Extension

QUICK = ["-O0", "-g0"]


def build(names: Sequence[str]) -> None:
    """Cythonizes and compiles; raises what Cython or the compiler has to say. ValueError for an unknown module."""
    settings = runpy.run_path("setup.py", run_name="setup")
    chosen: list[Extension] = [one for one in settings["extensions"]() if one.name in names]
    if len(chosen) != len(set(names)):
        raise ValueError(f"no such extension module: {sorted(set(names) - {one.name for one in chosen})}")
    for extension in chosen:
        extension.extra_compile_args = QUICK
    modules = cythonize(chosen, compiler_directives=settings["DIRECTIVES"], force=True, quiet=True)
    command = Distribution({"name": "seeded", "ext_modules": modules}).get_command_obj("build_ext")
    command.inplace = True
    command.force = True
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    build(sys.argv[1:])
