"""Imports go one way. Each rule is a sentence of the architecture: the core decides and knows nothing of the world,
storage and transport know only the contracts, only the runtime sees both, applications see only the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.style import source
from tests.style.order import CORE, RAFTPY, order

CORE_ORDER = order("raftcore", CORE)
RAFTPY_ORDER = order("raftpy", RAFTPY)
ORDERED = {"raftcore": CORE_ORDER, "raftpy": RAFTPY_ORDER}
SIDE_BY_SIDE = ("wire", "log", "membership")  # of the core
# Packages that name their main classes: what imports them is in the order, they are not.
FOLDERS = {"raftcore", "raftpy", "raftpy.cli", "raftpy.storage", "raftpy.transport", "raftpy.sim.linearizability"}

# What the core may use besides itself. No clock, socket, file, environment, thread or unseeded random source.
CORE_MAY_USE = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "hashlib",
    "itertools",
    "operator",
    "struct",
    "typing",
    "cpython",
    "cython",
    "libc",
}
CORE_MAY_NOT_CIMPORT = {"libc.stdio", "libc.time", "libc.signal", "libc.errno.errno"}

CONTRACTS = "raftpy.contracts"  # may be seen from below: promises, errors, small values
SIMULATOR = "raftpy.sim"
SIMULATOR_COMMANDS = {"raftpy.cli.sim", "raftpy.cli.sim_view"}  # `raftpy sim`, and what it prints
# `raftpy store`, which reads what no node has open, and what these commands see.
STORE_COMMANDS = {"raftpy.cli.store", "raftpy.cli.store_view", "raftpy.cli.store_export"}
STORE = (
    "raftpy.storage.offline",
    "raftpy.storage.leveldb.floor",
    "raftpy.contracts",
    "raftpy.members",
    "raftpy.runtime.sections",
    "raftpy.system.files",
)
SYSTEM = "raftpy.system"  # likewise: what stands on the contracts alone, and does for real what they promise
APPLICATIONS = ("server", "cli", "replicated")
ERRORS = {"raftpy.contracts.errors", "raftcore.base.errors"}
NODE = {"raftpy", "raftpy.node", "raftpy.blocking", "raftpy.config", "raftpy.contracts.state_machine", *ERRORS}


def core_files() -> list[Path]:
    return source.files(*source.CODE, trees=("raftcore",))


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or lies in it."""
    return name == package or name.startswith(package + ".")


def own_modules() -> set[str]:
    """Dotted names of every module of both packages."""
    return {source.module_name(p) for p in source.files(".py", ".pyx", ".pxd", trees=source.PACKAGES)}


def imported_modules(path: Path) -> set[str]:
    """The modules of this project that a file imports: of `from a.b import c`, a.b.c if that is a module, else a.b.
    The packages that hold a module count only when nothing deeper is named."""
    known = own_modules()
    names = {name for name in source.imports(path) if name in known}
    return {name for name in names if not any(other.startswith(name + ".") for other in names)}


def files_of(package: str) -> list[Path]:
    """Every file of a package but those that only name what lies below a folder."""
    return [path for path in source.files(*source.CODE, trees=(package,)) if path.stem != "__init__"]


@pytest.mark.parametrize("package", ORDERED)
def test_every_module_has_a_place_in_the_order(package: str) -> None:
    there = {source.module_name(path) for path in files_of(package)}
    assert sorted(there - set(ORDERED[package])) == []
    folders = {source.module_name(path) for path in source.files(".py", trees=(package,)) if path.stem == "__init__"}
    assert sorted(set(ORDERED[package]) - there - folders) == []


@pytest.mark.parametrize("path", [*files_of("raftcore"), *files_of("raftpy")], ids=source.relative)
def test_imports_go_downward(path: Path) -> None:
    name = source.module_name(path)
    package = name.split(".")[0]
    known = ORDERED[package]
    below = set(known[: known.index(name)]) | {name}
    used = {module for module in imported_modules(path) if within(module, package)}
    assert sorted(used - below - FOLDERS) == []


def test_the_core_knows_nothing_of_the_runtime() -> None:
    wrong = [source.relative(p) for p in core_files() if any(within(n, "raftpy") for n in source.imports(p))]
    assert wrong == []


@pytest.mark.parametrize("folder", SIDE_BY_SIDE)
def test_wire_log_and_membership_know_nothing_of_one_another(folder: str) -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=(f"raftcore/{folder}",)):
        for name in imported_modules(path):
            if any(within(name, f"raftcore.{other}") for other in SIDE_BY_SIDE if other != folder):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_what_is_for_tests_is_imported_by_nothing_else() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=source.PACKAGES):
        if any(within(source.module_name(path), part) for part in ("raftcore.testing", SIMULATOR)):
            continue
        if any(within(name, "raftcore.testing") for name in imported_modules(path)):
            wrong.append(source.relative(path))
    assert wrong == []


@pytest.mark.parametrize("path", core_files(), ids=source.relative)
def test_the_core_knows_nothing_of_the_world(path: Path) -> None:
    names = source.imports(path)
    allowed = CORE_MAY_USE | {"raftcore"} | ({"typing_extensions"} if path.suffix == ".pyi" else set())
    assert sorted(n for n in names if n.split(".")[0] not in allowed) == []
    assert sorted(names & CORE_MAY_NOT_CIMPORT) == []


def runtime_files(part: str) -> list[Path]:
    return source.files(*source.CODE, trees=(f"raftpy/{part}",))


@pytest.mark.parametrize("part", ["storage", "transport"])
def test_storage_and_transport_know_only_the_contracts(part: str) -> None:
    wrong = []
    for path in runtime_files(part):
        for name in imported_modules(path):
            if not any(within(name, known) for known in ("raftcore", f"raftpy.{part}", CONTRACTS, SYSTEM)):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_only_the_runtime_sees_storage_and_transport_both() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=("raftpy",)):
        names = imported_modules(path)
        seen = [part for part in ("storage", "transport") if any(within(name, f"raftpy.{part}") for name in names)]
        if len(seen) == 2 and not any(within(source.module_name(path), part) for part in ("raftpy.runtime", SIMULATOR)):
            wrong.append(source.relative(path))
    assert wrong == []


@pytest.mark.parametrize("part", APPLICATIONS)
def test_applications_see_only_the_node(part: str) -> None:
    allowed = tuple(f"raftpy.{name}" for name in APPLICATIONS)
    wrong = []
    for path in runtime_files(part):
        also = (SIMULATOR,) if source.module_name(path) in SIMULATOR_COMMANDS else ()
        also += STORE if source.module_name(path) in STORE_COMMANDS else ()
        for name in imported_modules(path):
            if name not in NODE and not any(within(name, package) for package in (*allowed, *also)):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_nothing_but_its_own_commands_imports_the_simulator() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=source.PACKAGES):
        module = source.module_name(path)
        if within(module, SIMULATOR) or module in SIMULATOR_COMMANDS:
            continue
        if any(within(name, SIMULATOR) for name in source.imports(path)):
            wrong.append(source.relative(path))
    assert wrong == []


def test_nothing_below_imports_an_application() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=source.PACKAGES):
        if any(within(source.module_name(path), f"raftpy.{part}") for part in (*APPLICATIONS, "__main__", "sim")):
            continue
        for name in imported_modules(path):
            if any(within(name, f"raftpy.{part}") for part in APPLICATIONS):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_the_reader_sees_imports_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ROOT", tmp_path)
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    cython = tmp_path / "pkg" / "sub" / "a.pyx"
    cython.write_text(
        '"""text\nimport not_this\n"""\n'
        "cimport cython\nimport os, sys as system\nfrom libc.time cimport time, clock\n"
        "from ..other cimport (thing,\n"
    )
    assert source.imports(cython) == {
        "cython",
        "os",
        "sys",
        "libc.time",
        "libc.time.time",
        "libc.time.clock",
        "pkg.other",
        "pkg.other.thing",
    }
    python = tmp_path / "pkg" / "sub" / "b.py"
    python.write_text("def f():\n    from . import a\n    import socket\nfrom .a import x\nfrom ...z import y\n")
    assert source.imports(python) == {"socket", "pkg.sub", "pkg.sub.a", "pkg.sub.a.x", "z", "z.y"}
