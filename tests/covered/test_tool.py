"""The measuring itself, on a small module: which lines there are, which outcomes count, what the list is held to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.covered.__main__ import main, parser, verdict
from tests.covered.branches import Condition, Outcome, form_of, measure, names, quoted
from tests.covered.copy import ROOT, Failed
from tests.covered.place import LISTED, Listed, Place, complaints, read
from tests.covered.traced import executable

SMALL = '''\
cdef extern from *:
    """
    static int positive(int number) {
        if (number > 0) return 1; else return 0;
    }
    """
    int positive(int number) nogil


cdef int chosen(int number, object text) except -1:
    if number > 3 and text is not None:  # or not
        return 1
    if number in (1, 2):
        raise ValueError(text)
    return positive(number)


def several(numbers, text):
    cdef int total = 0
    for number in numbers:
        total += chosen(number, text)
    while total > 100:
        total -= 1
    if text is None or (total and text):
        return [1 if total else 2, text]


def unused(text):
    return text if text else None
'''
SETUP = """
from Cython.Build import cythonize
from setuptools import Distribution, Extension
one = Extension(
    "raftcore.small", ["raftcore/small.pyx"], extra_compile_args=["-O0", "--coverage"], extra_link_args=["--coverage"]
)
modules = cythonize([one], quiet=True, compiler_directives={"language_level": 3})
command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
command.inplace = True
command.ensure_finalized()
command.run()
"""
USE = "from raftcore.small import several; assert several([4, 5, 3], 'a') == [1, 'a']"


def python(folder: Path, program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with one module, built for gcov and used a little."""
    folder = tmp_path_factory.mktemp("covered")
    (folder / "raftcore").mkdir()
    (folder / "raftcore" / "__init__.py").write_text("")
    (folder / "raftcore" / "small.pyx").write_text(SMALL)
    python(folder, SETUP)
    python(folder, USE)
    return folder


def seen(outcomes: list[Outcome], text: str) -> dict[str, bool]:
    return {outcome.what: outcome.count > 0 for outcome in outcomes if outcome.text.startswith(text)}


def test_both_outcomes_of_each_operand_of_a_condition(small: Path) -> None:
    assert seen(measure(small), "if number > 3") == {
        "0, false": True,  # number > 3
        "0, true": True,
        "1, false": True,  # the whole
        "1, true": True,
    }


def test_an_outcome_that_was_not_seen(small: Path) -> None:
    outcomes = measure(small)
    assert seen(outcomes, "while total > 100") == {"0, entered": False, "0, left": True}
    assert seen(outcomes, "return [1 if total") == {"0, true": True, "0, false": False}
    assert seen(outcomes, "return text if text") == {"0, true": False, "0, false": False}


def test_operands_are_named_by_what_they_are(small: Path) -> None:
    assert seen(measure(small), "if text is None or") == {
        "0, false": True,  # text is None
        "0, true": False,
        "1, false": False,  # total
        "1, true": True,
        "2, false": False,  # the whole
        "2, true": True,
    }


def test_a_switch_has_an_outcome_for_each_arm(small: Path) -> None:
    assert sorted(seen(measure(small), "if number in (1, 2)").values()) == [False, True]


def test_a_loop_over_objects_has_two_outcomes(small: Path) -> None:
    assert seen(measure(small), "for number in numbers") == {"none left": True, "one more": True}


def test_quoted_c_counts_as_a_whole(small: Path) -> None:
    assert sorted(seen(measure(small), "if (number > 0)").values()) == [False, True]


def test_nothing_else_counts(small: Path) -> None:
    """No check of arguments, of None, of errors: what has outcomes is on the lines named above."""
    assert {outcome.text for outcome in measure(small)} == {
        "if number > 3 and text is not None:  # or not",
        "if number in (1, 2):",
        "for number in numbers:",
        "while total > 100:",
        "if text is None or (total and text):",
        "return [1 if total else 2, text]",
        "return text if text else None",
        "if (number > 0) return 1; else return 0;",
    }


@pytest.mark.parametrize(
    "line",
    [
        "if (unlikely(__pyx_v_r->tracker == Py_None)) {",
        "if (unlikely(!__pyx_t_1)) __PYX_ERR(0, 26, __pyx_L1_error)",
        "if (__pyx_optional_args) {",
        "if (unlikely(PyMethod_Check(__pyx_t_3))) {",
        "switch (__pyx_nargs) {",
        "for (Py_ssize_t i = __pyx_nargs; i < 2; i++) {",
        "if (__pyx_v_m == Py_None) __pyx_t_1 = 0;",
    ],
)
def test_a_check_of_cythons_own_has_no_form(line: str) -> None:
    assert form_of(line) is None


def test_branches_are_named() -> None:
    assert names(Condition("a", 1, 0, "if", True), 2) == ["false", "true"]
    assert names(Condition("a", 1, 0, "switch", False), 3) == ["arm 0", "arm 1", "arm 2"]


def test_quoted_c_must_be_found() -> None:
    with pytest.raises(Failed, match="the C quoted at line 3 stands 0 times"):
        quoted('cdef extern from *:\n    """\n    int a;\n    """\n', "int b;\n")


def test_lines_that_can_run(tmp_path: Path) -> None:
    (tmp_path / "raftcore").mkdir()
    (tmp_path / "raftcore" / "small.pyx").write_text(SMALL)
    python(
        tmp_path,
        "from Cython.Build import cythonize\n"
        "cythonize('raftcore/small.pyx', quiet=True, compiler_directives={'linetrace': True, 'language_level': 3})",
    )
    lines = executable((tmp_path / "raftcore" / "small.c").read_text())
    assert {11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25, 29} <= lines["raftcore/small.pyx"]
    assert not {2, 3, 4, 5, 7, 8, 16} & lines["raftcore/small.pyx"]


def test_c_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no table of source files"):
        executable("int main(void) { return 0; }\n")


MISSED = [Place("a.pyx", 3, "raise MemoryError"), Place("a.pyx", 9, "raise MemoryError"), Place("b.pyx", 2, "return")]


def listed(*entries: tuple[str, str]) -> list[Listed]:
    return [Listed(file, text, "a reason") for file, text in entries]


def test_a_list_that_is_right_has_no_complaints() -> None:
    entries = listed(("a.pyx", "raise MemoryError"), ("b.pyx", "return"), ("a.pyx", "raise MemoryError"))
    assert complaints(MISSED, entries) == []


def test_a_line_that_is_not_listed() -> None:
    entries = listed(("a.pyx", "raise MemoryError"), ("b.pyx", "return"))
    assert complaints(MISSED, entries) == ["a.pyx:9: not reached, not listed: raise MemoryError"]


def test_a_listed_line_that_is_reached() -> None:
    entries = listed(*((place.file, place.text) for place in MISSED), ("b.pyx", "pass"))
    assert complaints(MISSED, entries) == ["b.pyx: listed, but reached or gone: pass"]


def test_each_entry_has_a_reason_and_names_a_line() -> None:
    for entry in read():
        assert entry.text in [line.strip() for line in (ROOT / entry.file).read_text().splitlines()], entry


@pytest.mark.parametrize("fields", ['file = "a"\ntext = "b"', 'file = "a"\ntext = "b"\nreason = ""'])
def test_an_entry_without_a_reason(tmp_path: Path, fields: str) -> None:
    (tmp_path / LISTED.name).write_text(f"[[line]]\n{fields}\n")
    with pytest.raises(ValueError, match=r"uncovered.toml, entry 1: file, text and reason"):
        read(tmp_path / LISTED.name)


def test_the_floor(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict("lines", 979, 1000) == 1
    assert verdict("lines", 980, 1000) == 0
    assert verdict("branches", 949, 1000) == 1
    assert "branches: 949 of 1000 reached, 94.90 %; BELOW 95.0 %" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["statements"], ["lines", "--jobs", "two"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert parser().prog == "python -m tests.covered"
