"""The world outside is touched through contracts: files, the database, threads and randomness have their real side in
``raftpy/system``, and nothing else of raftpy asks the operating system for them. So the shipped code runs in a
simulator as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.style import source

OUTSIDE = {
    "concurrent",
    "fcntl",
    "io",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib",
    "plyvel",
    "plyvel_next",
    "posix",
    "queue",
    "random",
    "secrets",
    "shutil",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
ANYWHERE = {
    "os.PathLike": "a type",
    "pathlib.PurePath": "a path that cannot touch anything",
    "random.Random": "draws from a seed that it is given, see below",
}
CALLS = re.compile(
    r"(?<!\bdef )(?<![\w.])open\(|\b(?:call_soon_threadsafe|run_in_executor|to_thread)\(|\bRandom\(\s*\)"
)
"""Of builtins and of asyncio, and a random source that seeds itself."""

EXCEPTIONS = {
    "raftpy.contracts.clock": {"time": "the real clock stands beside its contract"},
    "raftpy.storage.leveldb.store": {"time": "the timer of writes where none is given"},
    "raftpy.storage.leveldb.writer": {"time": "likewise"},
    "raftpy.transport.exchange.unreliable": {"os.environ": "a setting of the process, and no data"},
    "raftpy.blocking": {"concurrent.futures": "how the program's own threads wait for the node's"},
    "raftpy.sim.strand": {"threading": "what keeps a call where it stands; one thread only runs at any moment"},
    # Many seeds are run by processes of their own, which the simulator starts and does not run itself.
    "raftpy.sim.worker": {"os": "its output", "time": "what a seed takes"},
    "raftpy.sim.worker_process": dict.fromkeys(
        ("os", "pathlib.Path", "subprocess", "tempfile", "time"), "starts a process, and reads what it says"
    ),
    "raftpy.sim.search": {"time": "what a search takes"},
    # Applications are processes of their own, which no simulator runs.
    "raftpy.server.accepting": {"time": "how seldom a line is logged"},
    "raftpy.server.connections": {"os": "the descriptors that are open", "time": "how long a connection was idle"},
    "raftpy.server.errors": {"io": "a body that is sent piece by piece"},
    "raftpy.cli.addresses": {"os": "the environment"},
    "raftpy.cli.errors": {"os": "the system's words for an error"},
    "raftpy.cli.http_client": {"time": "timeouts"},
    "raftpy.cli.kv": {"os": "the bytes of an argument"},
    "raftpy.cli.run": {"os": "the environment, and an output that nobody reads any more"},
    "raftpy.cli.serve": {"pathlib.Path": "an option's type"},
    "raftpy.cli.serving": {"os": "the number of the process", "pathlib.Path": "an option's type"},
    "raftpy.cli.settings": {"pathlib.Path": "the file of settings"},
    "raftpy.cli.sim": {"os": "the number of processors", "pathlib.Path": "an option's type"},
    "raftpy.cli.sim_view": {"time": "how seldom a line is printed"},
    "raftpy.cli.status": {"concurrent.futures.ThreadPoolExecutor": "several nodes are asked at once"},
    "raftpy.cli.store": {"pathlib.Path": "an option's type"},
    "raftpy.cli.demo_check": {"time": "timeouts"},
    "raftpy.cli.demo_run": {"time": "when the demo does what"},
    "raftpy.cli.demo_view": {"time": "what stands before a line"},
    "raftpy.cli.demo_writer": {"time": "the rate of writes"},
    "raftpy.cli.demo_cluster": dict.fromkeys(
        ("os", "pathlib.Path", "random", "shutil", "subprocess", "tempfile", "time"),
        "starts processes, with ports and directories of their own",
    ),
}
"""Module -> what it may ask for all the same -> why. One that asks no more has to go."""


def asked_for(path: Path) -> Iterator[str]:
    """What a file imports, each as far as it is named: `import os` is os, `from os import path` is os.path."""
    text = path.read_text()
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
    else:
        for line in re.sub(r'"""(.*?)"""', "", text, flags=re.DOTALL).splitlines():
            if found := source.IMPORT.match(line):
                yield from (part.split()[0] for part in found["modules"].split(","))
            elif found := source.FROM_IMPORT.match(line):
                names = [part.split()[0] for part in re.split(r"[(,)]", found["names"]) if part.split()]
                yield from (f"{found['module']}.{name}" for name in names)


def called(path: Path) -> list[str]:
    """The lines that call what goes round the contracts."""
    text = re.sub(r'"""(.*?)"""', "", path.read_text(), flags=re.DOTALL)
    lines = (line.partition("  #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in lines if CALLS.search(line)]


def outside(path: Path) -> set[str]:
    return {name for name in asked_for(path) if name.split(".")[0] in OUTSIDE and name not in ANYWHERE}


def checked() -> list[Path]:
    return [path for path in source.files(*source.CODE, trees=("raftpy",)) if "system" not in path.parts]


@pytest.mark.parametrize("path", checked(), ids=source.relative)
def test_the_world_outside_is_asked_through_contracts(path: Path) -> None:
    assert sorted(outside(path) - EXCEPTIONS.get(source.module_name(path), {}).keys()) == []
    assert called(path) == []


def test_no_exception_is_left_over() -> None:
    asked = {source.module_name(path): outside(path) for path in checked() if path.suffix in (".py", ".pyx")}
    left = {name: sorted(allowed.keys() - asked.get(name, set())) for name, allowed in EXCEPTIONS.items()}
    assert {name: names for name, names in left.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "import os.path as there",
        "import asyncio, threading",
        "from os import PathLike, urandom",
        "from pathlib import (\n    Path,\n    PurePath,\n)",
        "def f():\n    import plyvel",
        "from random import Random\nsource = Random()",
        "with open(path) as file:\n    pass",
        "loop.call_soon_threadsafe(f)",
    ],
)
def test_each_way_round_is_seen(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.py"
    path.write_text(f'"""open(a file), import os."""\n{text}\n')
    assert outside(path) or called(path)
    good = "from os import PathLike\nfrom pathlib import PurePath\nfrom random import Random\n"
    path.write_text(f'"""open(a file), import os."""\n{good}files.open(path)  # open(path)\nRandom(7)\n')
    assert (outside(path), called(path)) == (set(), [])


def test_cython_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.pyx"
    path.write_text(
        "cimport cython\nfrom posix.fcntl cimport open, O_RDONLY\nimport time, os\nfrom os import PathLike\n"
    )
    assert outside(path) == {"posix.fcntl.open", "posix.fcntl.O_RDONLY", "time", "os"}
