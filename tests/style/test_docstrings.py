"""Every public name says what it is, and what it raises.

Public is what has no leading underscore. Of an extension module the stub says what is public, and the docstring may
stand in the stub or in the extension itself. An attribute may be said by its class's docstring. A class that carries
out a contract, and says so in its docstring (a ``Storage``), need not say again what the contract says.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import raftcore
import raftpy
from raftcore.base import errors as core_errors
from raftcore.base.errors import InvariantViolation, RaftError
from raftpy.contracts import errors
from tests.style import source

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CONSTRUCTORS = {"__init__", "__new__", "__cinit__", "__post_init__"}
CONTRACTS = [
    *sorted((source.ROOT / "raftpy" / "contracts").glob("*.py")),
    source.ROOT / "raftcore" / "values" / "storage_view.py",
]
# What a docstring names when it stands in the body: whatever a caller may want to catch, or has brought about.
RAISED = (RaftError, InvariantViolation, ValueError, TypeError, LookupError, RuntimeError)
RAISE = re.compile(r"^ *raise (\w+)")


@dataclass(frozen=True)
class Name:
    """A public name of a module: its path in it (``RawNode.step``), and what stands in the source text about it."""

    module: str
    path: str
    text: str
    is_attribute: bool

    @property
    def holder(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def last(self) -> str:
        return self.path.rpartition(".")[2]


# --- Which names there are, and what is said of them ------------------------------------------------------------


def public(name: str) -> bool:
    return not name.startswith("_")


def text_behind(body: list[ast.stmt], at: int) -> str:
    """The string that stands behind a statement, as the docstring of an attribute does."""
    after = body[at + 1] if at + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return after.value.value
    return ""


def names_in(module: str, body: list[ast.stmt], holder: str = "") -> Iterator[Name]:
    """The public classes, functions, methods and properties, and the annotated attributes of classes."""
    for at, node in enumerate(body):
        if isinstance(node, DEFINITIONS) and public(node.name):
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if re.search(r"\b(?:overload|setter|deleter)\b", decorators):
                continue  # what it is stands at the function itself, or at the property
            yield Name(module, holder + node.name, ast.get_docstring(node) or "", "property" in decorators)
            if isinstance(node, ast.ClassDef):
                yield from names_in(module, node.body, f"{holder}{node.name}.")
        elif holder and isinstance(node, ast.AnnAssign) and public(target := ast.unparse(node.target)):
            yield Name(module, holder + target, text_behind(body, at), True)


@cache
def names_of(path: Path) -> dict[str, Name]:
    """Of a .py or .pyi: its public names by their paths."""
    return {name.path: name for name in names_in(source.module_name(path), ast.parse(path.read_text()).body)}


def modules() -> list[Path]:
    """A .py, or of an extension its stub; not what runs when it is imported."""
    found = source.files(".py", ".pyi", trees=source.PACKAGES)
    return [path for path in found if path.name != "__main__.py"]


def text_at_run_time(name: Name) -> str:
    """What the object itself says; a method may leave it to a base class. A default value says nothing."""
    found: object = importlib.import_module(name.module)
    *holders, last = name.path.split(".")
    for holder in holders:
        found = getattr(found, holder)
    for place in found.__mro__ if isinstance(found, type) else (found,):
        thing = vars(place).get(last)
        is_described = not name.is_attribute or type(thing).__name__ in ("property", "getset_descriptor")
        if is_described and thing is not None and thing.__doc__:
            return str(thing.__doc__)
    return ""


@cache
def contracts() -> dict[str, dict[str, str]]:
    """Of each class of a contract what it says of its names."""
    found: dict[str, dict[str, str]] = {}
    for path in CONTRACTS:
        for name in names_of(path).values():
            if name.holder:
                found.setdefault(name.holder, {})[name.last] = name.text
    return found


def text_of_contracts(holder: str, last: str) -> str:
    """What the contracts say of a name that a class carries out, whose docstring is ``holder``."""
    texts = [said.get(last, "") for contract, said in contracts().items() if f"``{contract}``" in holder]
    return "\n".join(texts)


@cache
def own_text(name: Name) -> str:
    return f"{name.text}\n{text_at_run_time(name)}".strip()


def said_of(name: Name, names: dict[str, Name]) -> str:
    """All that is said of a name, by itself, its class or a contract."""
    text = own_text(name)
    if name.holder in names:
        holder = own_text(names[name.holder])
        text += text_of_contracts(holder, name.last)
        if name.is_attribute and re.search(rf"\b{name.last}\b", holder):
            text += holder
    return text


@pytest.mark.parametrize("path", modules(), ids=source.relative)
def test_every_public_name_says_what_it_is(path: Path) -> None:
    names = names_of(path)
    assert [name.path for name in names.values() if not said_of(name, names)] == []


@pytest.mark.parametrize("package", [raftcore, raftpy], ids=["raftcore", "raftpy"])
def test_what_a_package_exports_is_among_them(package: ModuleType) -> None:
    exported = {name: getattr(package, name) for name in package.__all__}
    read = {(name.module, name.path) for path in modules() for name in names_of(path).values()}
    homes = {name: value.__module__ for name, value in exported.items() if callable(value)}
    assert [name for name, module in homes.items() if (module, name) not in read] == []


# --- What is raised -----------------------------------------------------------------------------------------------


def exceptions() -> list[type[BaseException]]:
    """The core's and the runtime's own."""
    of_modules = (value for module in (core_errors, errors) for value in vars(module).values())
    return sorted(
        {value for value in of_modules if inspect.isclass(value) and issubclass(value, BaseException)},
        key=lambda exception: exception.__name__,
    )


@pytest.mark.parametrize("exception", exceptions(), ids=lambda exception: exception.__name__)
def test_an_exception_says_where_it_is_raised(exception: type[BaseException]) -> None:
    assert re.search(r"\b[Rr]aise[sd]?\b", exception.__doc__ or "")


def raised_in_python(node: ast.AST, caught: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names of what is raised in a body itself, neither in a function inside it nor caught again."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*DEFINITIONS, ast.Lambda)):
            continue
        if isinstance(child, ast.Raise):
            made = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            if isinstance(made, ast.Name) and made.id not in caught:
                yield made.id
        elif isinstance(child, ast.Try):
            types = " ".join(ast.unparse(handler.type) for handler in child.handlers if handler.type is not None)
            for statement in child.body:
                yield from raised_in_python(ast.Module([statement], []), caught | frozenset(re.findall(r"\w+", types)))
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from raised_in_python(ast.Module([part], []), caught)  # type: ignore[list-item]
        else:
            yield from raised_in_python(child, caught)


def raisers_in_python(body: list[ast.stmt], holder: str = "") -> Iterator[tuple[str, str]]:
    """(path of a function or method, name of an exception) for each that stands in the former's body."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from raisers_in_python(node.body, f"{holder}{node.name}.")
        elif isinstance(node, DEFINITIONS):
            for exception in raised_in_python(node):
                yield holder + node.name, exception


def raisers_in_cython(text: str) -> Iterator[tuple[str, str]]:
    """The same of a .pyx, by its indentation: functions that Python can call, one class deep."""
    holder = function = ""
    for line in text.splitlines():
        if found := re.match(r"(?:cdef )?class (\w+)", line):
            holder, function = found[1] + ".", ""
        elif found := re.match(r"( *)(?:async )?(?:def|cpdef [^(]*?) ?(\w+)\(", line):
            holder = holder if found[1] else ""
            function = holder + found[2]
        elif re.match(r" *cdef .*\)[^=]*:$|^\S", line):
            function = ""  # of C alone, or something else at the margin
        elif function and (found := RAISE.match(line)):
            yield function, found[1]


def unnamed(path: Path) -> list[str]:
    """What a function of a module raises in its body and its docstring does not name."""
    names = names_of(path)
    module = importlib.import_module(source.module_name(path))
    extension = path.with_suffix(".pyx")
    if extension.exists():
        raisers = raisers_in_cython(extension.read_text())
    else:
        raisers = raisers_in_python(ast.parse(path.read_text()).body)
    found = []
    for function, exception in dict.fromkeys(raisers):
        kind = getattr(module, exception, getattr(builtins, exception, None))
        holder, _, last = function.rpartition(".")
        name = names.get(holder if last in CONSTRUCTORS else function)
        if name is None or not (inspect.isclass(kind) and issubclass(kind, RAISED)):
            continue
        text = said_of(name, names)
        words = {base.__name__ for base in kind.__mro__[: kind.__mro__.index(Exception)]}
        if not words & set(re.findall(r"\w+", text)):
            found.append(f"{function}: {exception}")
    return found


@pytest.mark.parametrize("path", modules(), ids=source.relative)
def test_a_docstring_names_what_is_raised(path: Path) -> None:
    assert unnamed(path) == []
