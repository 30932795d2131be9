"""Reads the repository as text: which files there are, what they import, where their functions begin and end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("raftcore", "raftpy")
CODE = (".py", ".pyx", ".pxd", ".pyi")
TREES = (*PACKAGES, "tests", "benchmarks", "examples", "docs", ".ci")
TEXT = (*CODE, ".md", ".toml", ".txt", ".in", ".sh", ".cfg", ".c", ".h", ".html", ".js", ".css")


def files(*suffixes: str, trees: tuple[str, ...] = TREES) -> list[Path]:
    """All files of the trees with one of the suffixes, and for the whole repository those of its root."""
    found = [p for tree in trees for p in (ROOT / tree).rglob("*") if p.is_file() and p.suffix in suffixes]
    if trees is TREES:
        found += [p for p in ROOT.iterdir() if p.is_file() and p.suffix in suffixes]
        found += [ROOT / ".ci" / "run"] if ".sh" in suffixes else []
    # Cython's output lies beside its source and is nobody's text.
    return sorted(p for p in found if "__pycache__" not in p.parts and not (p.suffix == ".c" and generated(p)))


def generated(path: Path) -> bool:
    """Whether a .c file was made by Cython from the .pyx beside it."""
    return path.with_suffix(".pyx").exists()


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """raftcore/log/log.pyx -> raftcore.log.log; raftpy/storage/__init__.py -> raftpy.storage."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


IMPORT = re.compile(r"^\s*c?import\s+(?P<modules>[\w., ]+?)\s*(?:#.*)?$")
FROM_IMPORT = re.compile(r"^\s*from\s+(?P<module>\.*[\w.]*)\s+c?import\s+(?P<names>\(?[^#]*)")


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a .py, .pyi, .pyx or .pxd file imports or cimports, wherever it does.

    ``from a import b`` counts as a and a.b, because b may be a module; a caller that asks by prefix gets both right.
    """
    text = path.read_text()
    return set(python_imports(text, path) if path.suffix in (".py", ".pyi") else cython_imports(text, path))


def python_imports(text: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute("." * node.level + (node.module or ""), path)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def cython_imports(text: str, path: Path) -> Iterator[str]:
    for line in re.sub(r'"""(.*?)"""', "", text, flags=re.DOTALL).splitlines():
        if found := IMPORT.match(line):
            for part in found["modules"].split(","):
                yield part.split()[0]
        elif found := FROM_IMPORT.match(line):
            base = absolute(found["module"], path)
            yield base
            yield from (f"{base}.{part.split()[0]}" for part in re.split(r"[(,)]", found["names"]) if part.split())


def absolute(name: str, path: Path) -> str:
    """Resolves leading dots against the package that holds the file."""
    bare = name.lstrip(".")
    if bare == name:
        return name
    package = path.relative_to(ROOT).parts[:-1]
    base = package[: len(package) - (len(name) - len(bare) - 1)]
    return ".".join((*base, bare) if bare else base)


@dataclass(frozen=True)
class Function:
    """A function or method with a body: file:name and the number of lines from its first line to its last."""

    name: str
    lines: int


HEAD = re.compile(r"^(?P<indent> *)(?:async def|def|cdef|cpdef)\b(?P<rest>[^\n]*)$")


NOT_A_FUNCTION = re.compile(r"\s*(?:packed\s+)?(?:class|struct|union|enum|extern)\b")


def functions(path: Path) -> Iterator[Function]:
    """Every function of a .py or .pyx file; nested ones count in themselves and in their holder."""
    lines = path.read_text().splitlines()
    for start, line in enumerate(lines):
        head = HEAD.match(line)
        if head is None or NOT_A_FUNCTION.match(head["rest"]) or not (name := re.search(r"(\w+)\s*\(", head["rest"])):
            continue
        body = body_start(lines, start)
        if body is None:
            continue
        end = last = body
        while end < len(lines) and (not lines[end].strip() or indent(lines[end]) > len(head["indent"])):
            last = end if lines[end].strip() else last
            end += 1
        yield Function(f"{relative(path)}:{name[1]}", last - start + 1)


def body_start(lines: list[str], start: int) -> int | None:
    """Index of the first line after a head that may run over several lines; None when it is no function (cdef of a
    variable, a struct, a declaration)."""
    depth = 0
    for at in range(start, min(start + 30, len(lines))):
        code = lines[at].split("#")[0].rstrip()
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth == 0:
            return at + 1 if code.endswith(":") else None
    return None


def indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
