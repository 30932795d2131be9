"""The numbers of the wire format stand once: raftcore.wire.codec gives them to Python, the .pxd that declares them to
C. Nor does any other constant stand in two modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftcore.wire import codec
from tests.style import source

CONSTANTS = sorted(name for name, value in vars(codec).items() if name.isupper() and isinstance(value, int))
# What they were called where they stood a second time.
OTHER_NAMES = {"CRC_SIZE": "CHECKSUM_SIZE", "OWN": "FRAME_TRANSPORT", "BLOCK_HEADER": "BLOCK_HEADER_SIZE"}


def declared(name: str) -> list[str]:
    """The files of both packages that give the name a number."""
    line = re.compile(rf"^ *(?:cdef \w+ )?{name}(?:: [\w\[\]]+)? = \w", re.MULTILINE)
    sources = source.files(".py", ".pyx", ".pxd", trees=source.PACKAGES)
    return [source.relative(path) for path in sources if line.search(path.read_text())]


def test_all_of_them_are_looked_at() -> None:
    assert {"CHECKSUM_SIZE", "FRAME_TRANSPORT", "RUN_SIZE", "BLOCK_HEADER_SIZE", "LENGTH_SIZE"} <= set(CONSTANTS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_number_of_the_format_is_declared_once(name: str) -> None:
    assert len(declared(name)) == 1
    assert declared(name)[0].endswith(".pxd")


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_it_has_no_second_name(name: str) -> None:
    assert declared(name) == []


NUMBER = re.compile(r"^(?P<indent> *)(?:cdef [\w ]*?)?(?P<name>[A-Z][A-Z0-9_]+)(?:: [\w\[\]]+)? = (?P<value>[^#]+)")


def constants(path: Path) -> Iterator[tuple[str, str]]:
    """Name and value of each number and text that the module declares on one line, and of what is made of them.

    The value is in one form: 65507 for 65_507. A class's own names are not the module's; a cdef enum's are.
    """
    text = path.read_text()
    yield from python_constants(text) if path.suffix == ".py" else cython_constants(text)


def python_constants(text: str) -> Iterator[tuple[str, str]]:
    for node in ast.parse(text).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr) and target.id.lstrip("_").isupper():
            if any(isinstance(part, ast.Call) for part in ast.walk(value)):
                continue
            yield target.id.lstrip("_"), ast.unparse(value)


def cython_constants(text: str) -> Iterator[tuple[str, str]]:
    block = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            block = line
        found = NUMBER.match(line)
        if found and (not found["indent"] or block.startswith("cdef enum")):
            value = re.sub(r"<\w+> ?", "", found["value"]).strip()  # without a cast
            if not value.endswith(("(", "[", "{")):
                yield found["name"], ast.unparse(ast.parse(value, mode="eval"))


def test_no_two_modules_declare_the_same_constant() -> None:
    """One of the two would be changed one day and the other forgotten: one module declares it, the others import it."""
    where: dict[tuple[str, str], list[str]] = {}
    for path in source.files(".py", ".pyx", ".pxd", trees=source.PACKAGES):
        for constant in constants(path):
            where.setdefault(constant, []).append(source.relative(path))
    assert len(where) > 200, "so many there are at least"
    assert {constant: paths for constant, paths in where.items() if len(paths) > 1} == {}


def test_the_reader_sees_constants_of_every_form(tmp_path: Path) -> None:
    python = tmp_path / "a.py"
    python.write_text("A = 1_000\n_B: int = 2**64 - 3\nC = make()\nD = 'x'\nname = 5\nclass K:\n    E = 1\nF = A.b\n")
    assert list(constants(python)) == [("A", "1000"), ("B", "2 ** 64 - 3"), ("D", "'x'"), ("F", "A.b")]
    cython = tmp_path / "b.pyx"
    cython.write_text(
        "cdef enum:\n    AA = 1 << 20  # why\n    BB = 0x10\ncdef double CC = 1e-3\nDD = 'x'\ncdef Py_ssize_t EE = 4\n"
        "def f():\n    FF = 3\ncdef class G:\n    HH = 2\n"
    )
    assert list(constants(cython)) == [("AA", "1 << 20"), ("BB", "16"), ("CC", "0.001"), ("DD", "'x'"), ("EE", "4")]
