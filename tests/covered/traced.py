"""Lines of the core: which there are, by the trace calls in the C that Cython makes, and which were run."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from tests.covered.place import Place

# Above the C of each source line stands where it comes from.
ORIGIN = re.compile(r'\s*/\* "(.+\.(?:pyx|pxd))":(\d+)$')
# The trace call of a line names the line, and by its number in a table the file.
FILES = re.compile(r"static const char\* const __pyx_f\[\] = \{\n(.*?)\n\};", re.DOTALL)
TRACE = re.compile(r"\s*__Pyx_TraceLine\((\d+),.*__PYX_ERR\((\d+), \d+,")
MODULE = "/*--- Execution code ---*/"
SETTINGS = """[run]
plugins = Cython.Coverage
source = raftcore
disable_warnings = no-data-collected
"""


def executable(c_source: str) -> dict[str, set[int]]:
    """Source file -> the numbers of its lines that can run in this one C file.

    The inline functions of a .pxd are in the C of each module that uses them, and only the used ones: the lines of a
    .pxd are those of all C files together. What a .pxd has at the level of a module are declarations, which the module
    that reads them runs in its own name; they are left out.
    """
    table = FILES.search(c_source)
    if table is None:
        raise ValueError("no table of source files: not made by Cython, or by one that writes other C")
    files = re.findall(r'"(.+)"', table[1])
    out: dict[str, set[int]] = defaultdict(set)
    in_module = False
    for line in c_source.splitlines():
        in_module = in_module or MODULE in line
        if (trace := TRACE.match(line)) and not (in_module and files[int(trace[2])].endswith(".pxd")):
            out[files[int(trace[2])]].add(int(trace[1]))
    return dict(out)


def write_settings(folder: Path) -> Path:
    """The settings file for ``coverage run``."""
    path = folder / "covered.ini"
    path.write_text(SETTINGS)
    return path


def measure(folder: Path) -> tuple[dict[str, int], list[Place]]:
    """File -> number of lines that can run, and those that no test ran, from the data files in ``folder``."""
    from coverage import Coverage  # of the dependency group "coverage"; the rest of the package works without it

    measured = Coverage(data_file=str(folder / ".coverage"), config_file=str(folder / "covered.ini"))
    measured.combine([str(folder)], keep=True)
    data = measured.get_data()
    lines: dict[str, set[int]] = defaultdict(set)
    for c_file in sorted((folder / "raftcore").rglob("*.c")):
        for name, numbers in executable(c_file.read_text()).items():
            lines[name] |= numbers
    total, missed = {}, []
    for path in sorted((folder / "raftcore").rglob("*.p*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".py":
            _, statements, _, missing, _ = measured.analysis2(str(path))
        elif name in lines:
            statements = sorted(lines[name])
            missing = sorted(lines[name] - set(data.lines(str(path)) or ()))
        else:
            continue
        total[name] = len(statements)
        text = path.read_text().splitlines()
        missed += [Place(name, number, text[number - 1].strip()) for number in missing]
    return total, missed
