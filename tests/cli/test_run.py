"""What all commands share: what is loaded, how errors come out, and that nothing is loaded in vain."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raftpy
from tests.cli import support
from tests.cli.support import check_one_line, in_process

HEAVY = ("asyncio", "aiohttp", "rich", "raftcore", "raftpy.node", "raftpy.config", "plyvel", "concurrent.futures")


@pytest.mark.parametrize("module", ["raftpy", "raftpy.cli.run", "raftpy.cli.kv"])
def test_a_quick_command_loads_nothing_it_does_not_use(module: str) -> None:
    """Each of these takes longer to load than the request takes to be answered."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "[]\n"


def test_every_public_name_can_be_had() -> None:
    for name in raftpy.__all__:
        assert getattr(raftpy, name) is not None
        assert name in dir(raftpy)
    with pytest.raises(AttributeError, match="module 'raftpy' has no attribute 'Nodes'"):
        raftpy.Nodes  # type: ignore[attr-defined]


def test_version() -> None:
    assert in_process("--version") == support.Ended(0, f"raftpy {raftpy.__version__}\n".encode(), "")


def test_the_list_of_commands_is_the_commands() -> None:
    from raftpy.cli.run import COMMANDS

    for name, summary in COMMANDS.items():
        ended = in_process(name, "--help")
        assert ended.status == 0
        assert ended.text.startswith(f"Usage: raftpy {name} ")
        assert summary in in_process("--help").text


def test_no_command_at_all_shows_the_help() -> None:
    for command in ([], ["kv"]):
        ended = in_process(*command)
        assert (ended.status, ended.out) == (2, b"")
        assert "Commands:" in ended.err
        assert "Examples:" in ended.err


def test_an_unknown_command() -> None:
    check_one_line(in_process("frob"), 2, "raftpy: No such command 'frob' (see raftpy --help)")
    check_one_line(in_process("--frob"), 2, "raftpy: No such option", "--frob")


def test_a_bug_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr("raftpy.cli.kv.chosen", broken)
    monkeypatch.delenv("RAFTPY_TRACEBACK", raising=False)
    check_one_line(in_process("kv", "get", "k"), 1, "raftpy: unexpected KeyError: 'inside' (a bug; RAFTPY_TRACEBACK=1")
    monkeypatch.setenv("RAFTPY_TRACEBACK", "1")
    assert "Traceback" in in_process("kv", "get", "k").err


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raftpy.cli.kv.chosen", interrupted)
    ended = in_process("kv", "get", "k")
    assert (ended.status, ended.err.strip()) == (1, "raftpy: interrupted")  # below the terminal's own ^C
