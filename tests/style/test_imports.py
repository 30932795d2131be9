"""Imports go one way. Each rule is a sentence of the architecture: the core decides and knows nothing of the world,
storage and transport know only the contracts, only the runtime sees both, applications see only the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.style import source

# raftcore from the bottom up: a module may import only what stands before it here (a .pxd counts as its .pyx).
CORE_ORDER = """
    errors types config options conflict
    buffer crc lists wire frame block entries message changes status protocol_state storage_view
    body datagram codec
    room queue runs window slices log_entries unstable log memory_storage
    quorum inflights progress tracker confchange
    read_only state
    witness backtrack
    sending proposals lease picture ready transfer priority roles quarantine
    faults
    read_index election replication membership snapshots
    outbox raft cloning node_invariants intake collecting
    raw_node loopback
    invariants protocol
""".split()

# What the core may use besides itself. No clock, socket, file, environment, thread or unseeded random source.
CORE_MAY_USE = {
    "__future__", "abc", "bisect", "collections", "dataclasses", "enum", "hashlib", "itertools", "operator", "struct",
    "typing", "cpython", "cython", "libc",
}
CORE_MAY_NOT_CIMPORT = {"libc.stdio", "libc.time", "libc.signal", "libc.errno.errno"}

# Parts of raftpy that may be seen from below: contracts, errors, and small values without behaviour of their own.
CONTRACTS = {"raftpy.contracts.interfaces", "raftpy.contracts.errors", "raftpy.contracts.clock", "raftpy.contracts.forking"}
APPLICATIONS = ("server", "cli", "replicated")
ERRORS = {"raftpy.contracts.errors", "raftcore.base.errors"}
NODE = {"raftpy", "raftpy.node", "raftpy.blocking", "raftpy.config", "raftpy.contracts.interfaces", *ERRORS}


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


def test_every_module_of_the_core_has_a_place_in_the_order() -> None:
    there = {source.module_name(p).removeprefix("raftcore.") for p in core_files()} - {"raftcore"}
    assert sorted(there - set(CORE_ORDER)) == []


@pytest.mark.parametrize("path", core_files(), ids=source.relative)
def test_the_core_imports_downward(path: Path) -> None:
    name = source.module_name(path).removeprefix("raftcore.")
    if name == "raftcore":
        return  # the package re-exports all of it
    below = set(CORE_ORDER[: CORE_ORDER.index(name)]) | {name}
    used = {module.removeprefix("raftcore.") for module in imported_modules(path) if within(module, "raftcore")}
    assert sorted(used - below) == []


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
            if not (within(name, "raftcore") or within(name, f"raftpy.{part}") or name in CONTRACTS):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_only_the_runtime_sees_storage_and_transport_both() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=("raftpy",)):
        names = imported_modules(path)
        seen = [part for part in ("storage", "transport") if any(within(name, f"raftpy.{part}") for name in names)]
        if len(seen) == 2 and not within(source.module_name(path), "raftpy.runtime"):
            wrong.append(source.relative(path))
    assert wrong == []


@pytest.mark.parametrize("part", APPLICATIONS)
def test_applications_see_only_the_node(part: str) -> None:
    allowed = tuple(f"raftpy.{name}" for name in APPLICATIONS)
    wrong = []
    for path in runtime_files(part):
        for name in imported_modules(path):
            if name not in NODE and not any(within(name, package) for package in allowed):
                wrong.append(f"{source.relative(path)} imports {name}")
    assert wrong == []


def test_nothing_below_imports_an_application() -> None:
    wrong = []
    for path in source.files(*source.CODE, trees=source.PACKAGES):
        if any(within(source.module_name(path), f"raftpy.{part}") for part in (*APPLICATIONS, "__main__")):
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
        "cython", "os", "sys", "libc.time", "libc.time.time", "libc.time.clock", "pkg.other", "pkg.other.thing",
    }
    python = tmp_path / "pkg" / "sub" / "b.py"
    python.write_text("def f():\n    from . import a\n    import socket\nfrom .a import x\nfrom ...z import y\n")
    assert source.imports(python) == {"socket", "pkg.sub", "pkg.sub.a", "pkg.sub.a.x", "z", "z.y"}
