"""``python -m tests.covered.build``: builds the core's extension modules in place, in the tree it is run in.

By setup.py's own flags (RAFTPY_LINETRACE, RAFTPY_COVERAGE). Of raftpy's, which are not measured, only those that the
core's tests need: the vectors of the wire format have hellos among them, which are the transport's.
"""

from __future__ import annotations

import os
import runpy

from Cython.Build import cythonize
from setuptools import Distribution


def main() -> None:
    settings = runpy.run_path("setup.py", run_name="setup")
    needed = [one for one in settings["extensions"]() if one.name.startswith(("raftcore.", "raftpy.transport."))]
    modules = cythonize(
        needed, compiler_directives=settings["DIRECTIVES"], force=True, quiet=True, nthreads=os.cpu_count() or 1
    )
    command = Distribution({"name": "covered", "ext_modules": modules}).get_command_obj("build_ext")
    command.inplace = True
    command.force = True
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main()
