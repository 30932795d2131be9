"""What runs before a change lands fails when a part of it does, leaves nothing running, and shows what was printed."""

from __future__ import annotations

import fnmatch
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
BESIDE = ROOT / ".ci" / "beside.py"
PASSED = "status 0 after 0 s"
FOR_EVER = "sleep 600"


def beside(*words: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, BESIDE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def outcome(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Status, lines without the commands' seconds, and errors of a run."""
    try:
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, [line.partition(" after ")[0] for line in out.splitlines()], errors


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def script(tmp_path: Path, name: str, text: str) -> str:
    """The command line of a shell script."""
    path = tmp_path / name
    path.write_text(text)
    return f"sh {path}"


@pytest.fixture
def sleeper(tmp_path: Path) -> str:
    """The command line of a program that has a child, tells both their ids, and does not end by itself."""
    return script(tmp_path, "sleeper", f"{FOR_EVER} & echo $! >{tmp_path}/child\necho $$ >{tmp_path}/parent\nwait\n")


def sleeps(tmp_path: Path) -> bool:
    return (tmp_path / "parent").exists() and (tmp_path / "parent").read_text() != ""


def still_there(tmp_path: Path) -> list[str]:
    """Which of the sleeper's processes have not ended. A zombie has."""
    there = []
    for name in ("parent", "child"):
        status = Path(f"/proc/{(tmp_path / name).read_text().strip()}/stat")
        try:
            there += [name] if status.read_text().rpartition(")")[2].split()[0] != "Z" else []
        except (FileNotFoundError, ProcessLookupError):
            continue
    return there


def test_all_that_runs_side_by_side_is_printed_in_order(tmp_path: Path) -> None:
    slow = script(tmp_path, "slow", "sleep 0.5; echo front\n")
    status, lines, errors = outcome(beside(slow, "--", "echo one", "sh -c 'echo two >&2'"))
    assert (status, errors) == (0, "")
    assert lines == [
        "front", f"--- {slow}: status 0", "one", "--- echo one: status 0", "two", "--- sh -c 'echo two >&2': status 0",
    ]  # fmt: skip


def test_others_run_beside_the_first_and_one_after_another(tmp_path: Path) -> None:
    front = script(tmp_path, "front", f"while [ ! -e {tmp_path}/second ]; do sleep 0.02; done\n")
    first = script(tmp_path, "one", f"sleep 0.3; echo >{tmp_path}/first\n")
    second = script(tmp_path, "two", f"[ -e {tmp_path}/first ] && echo >{tmp_path}/second\n")
    status, lines, _ = outcome(beside(front, "--", first, second))
    assert (status, len(lines)) == (0, 3)


def test_others_go_on_when_the_first_has_ended(tmp_path: Path) -> None:
    slow = script(tmp_path, "slow", "sleep 0.3; echo done\n")
    status, lines, _ = outcome(beside("true", "--", slow, slow))
    assert (status, lines.count("done")) == (0, 2)


def test_one_that_fails_beside_the_first_ends_all_with_its_status(tmp_path: Path, sleeper: str) -> None:
    bad = script(tmp_path, "bad", f"while [ ! -s {tmp_path}/parent ]; do sleep 0.02; done\necho broken\nexit 7\n")
    status, lines, _ = outcome(beside(sleeper, "--", "echo one", bad, "echo never"))
    assert status == 7
    assert lines == [f"--- {sleeper}: status 130", "one", "--- echo one: status 0", "broken", f"--- {bad}: status 7"]
    until(lambda: still_there(tmp_path) == [])


def test_the_first_that_fails_ends_what_runs_beside_it(tmp_path: Path, sleeper: str) -> None:
    bad = script(tmp_path, "bad", f"while [ ! -s {tmp_path}/parent ]; do sleep 0.02; done\necho broken\nexit 3\n")
    status, lines, _ = outcome(beside(bad, "--", sleeper, "echo never"))
    assert status == 3
    assert lines == ["broken", f"--- {sleeper}: status 130", f"--- {bad}: status 3"]
    until(lambda: still_there(tmp_path) == [])


def test_one_that_a_signal_ends_has_failed() -> None:
    assert outcome(beside("true", "--", "sh -c 'kill -9 $$'"))[0] == 128 + signal.SIGKILL


def test_what_cannot_be_started_ends_all(tmp_path: Path, sleeper: str) -> None:
    waits = script(tmp_path, "waits", f"while [ ! -s {tmp_path}/parent ]; do sleep 0.02; done\n")
    status, _, errors = outcome(beside(sleeper, "--", waits, "no-such-program-here"))
    assert status == 1
    assert "No such file or directory: 'no-such-program-here'" in errors
    until(lambda: still_there(tmp_path) == [])


def test_what_is_stopped_can_put_away_what_it_has_set_up(tmp_path: Path) -> None:
    code = f"""
import pathlib, time
try:
    pathlib.Path({str(tmp_path / "up")!r}).write_text("up")
    time.sleep(600)
finally:
    pathlib.Path({str(tmp_path / "put away")!r}).write_text("")
"""
    (tmp_path / "code.py").write_text(code)
    bad = script(tmp_path, "bad", f"while [ ! -s {tmp_path}/up ]; do sleep 0.02; done\nexit 1\n")
    assert outcome(beside(f"{sys.executable} {tmp_path}/code.py", "--", bad))[0] == 1
    assert (tmp_path / "put away").exists()


def test_what_does_not_stop_is_killed_after_a_while(tmp_path: Path) -> None:
    deaf = script(tmp_path, "deaf", f"trap '' INT\necho >{tmp_path}/deaf-to-it\n{FOR_EVER}\n")
    bad = script(tmp_path, "bad", f"while [ ! -s {tmp_path}/deaf-to-it ]; do sleep 0.02; done\nexit 1\n")
    impatient = f"import runpy, sys; m = runpy.run_path({str(BESIDE)!r}); m['run'].__globals__['GRACE_S'] = 0.2; "
    impatient += "sys.exit(m['main']())"
    done = subprocess.run(
        [sys.executable, "-c", impatient, deaf, "--", bad], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert f"--- {deaf}: status 137" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_it_ends_all_that_it_has_started(tmp_path: Path, sleeper: str, number: signal.Signals) -> None:
    # As from a script's background, where Ctrl-C is ignored until somebody asks for it.
    process = beside("true", "--", sleeper, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    until(lambda: sleeps(tmp_path))
    process.send_signal(number)
    assert outcome(process)[0] in (128 + number, -number)
    until(lambda: still_there(tmp_path) == [])


@pytest.mark.parametrize("words", [[], ["true"], ["true", "true"]])
def test_what_runs_beside_must_be_told_from_what_comes_first(words: list[str]) -> None:
    status, lines, errors = outcome(beside(*words))
    assert (status, lines, errors) == (1, [], f"expected FIRST -- OTHER..., got {words}\n")


# Any Python that .ci/run asks for: it writes down what it was asked, and fails where it is told to.
PYTHON = r"""#!/bin/sh
case "$*" in
    -c*purelib*) echo "${0%/bin/*}"; exit ;;
    -c*CC*) echo "cc"; exit ;;
    -c*) exit ;;
    .ci/readme.py* | .ci/beside.py*) exec "$REAL_PYTHON" "$@" ;;
esac
echo "${0%/bin/*}|$(nice)|${RAFTPY_TEST_ALL:-}|${CC:-}|$*" >>"$ASKED"
case "$*" in
    $FAILS) echo "that was told to fail"; exit 4 ;;
    $HAS_NOTHING) exit 3 ;;
esac
case "$*" in
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m build --sdist --outdir "*) mkdir "$5"; tar -czf "$5/x.tar.gz" -C "${5%/*}" sdist.log ;;
esac
"""
README = """<!-- command: tests -->
```sh
.venv/bin/python -m pip install -e . && .venv/bin/python -m pytest
```
"""
PARTS = {
    "build": "-m pip install -e .",
    "tests": "-m pytest",
    "lint": ".ci/lint.py",
    "guard": "-m benchmarks.guard",
    "hooks": ".ci/hooks.py*",
    "sim": "-m raftpy sim*",
    "sdist": "-m build*",
    "wheel of the first": ".ci/wheel.py*-3.11",
    "wheel of the last": ".ci/wheel.py*-3.16",
}


@pytest.fixture
def ci(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a copy of .ci/run with a Python of each version that only plays its part."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / ".ci", tree / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "README.md").write_text(README)
    pythons = [tmp_path / "pyenv" / "versions" / f"3.{n}.0" / "bin" / f"python3.{n}" for n in range(11, 17)]
    for python in (*pythons, tree / ".venv" / "bin" / "python"):
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        python.chmod(0o755)
    (tmp_path / "bin").mkdir()
    for program in ("apt-get", "ip", "mkfs.ext4", "valgrind", "ccache"):  # nothing is installed here
        (tmp_path / "bin" / program).symlink_to(shutil.which("true") or "true")
    (tmp_path / "tmp").mkdir()

    def run(part: str = "all", fails: str = "-", has_nothing: str = "-") -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAFTPY_", "CC"))},
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYENV_ROOT": str(tmp_path / "pyenv"),
            "TMPDIR": str(tmp_path / "tmp"),
            "REAL_PYTHON": sys.executable,
            "ASKED": str(tmp_path / "asked"),
            "FAILS": fails,
            "HAS_NOTHING": has_nothing,
        }
        return subprocess.run(
            ["bash", tree / ".ci" / "run", part],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


class Call(NamedTuple):
    """One of a Python that plays its part."""

    environment: str
    nice: int
    test_all: str
    cc: str
    words: str


def calls(tmp_path: Path) -> dict[str, Call]:
    """Part -> the call that does it. Fails when there is none, or more than one."""
    out = {}
    made = [line.split("|") for line in (tmp_path / "asked").read_text().splitlines()]
    for name, pattern in PARTS.items():
        ((where, nice, *others),) = (each for each in made if fnmatch.fnmatch(each[-1], pattern))
        out[name] = Call(where.rpartition("/")[2], int(nice) - os.nice(0), *others)
    return out


def test_ci_runs_every_part_and_says_so_in_its_last_line(
    ci: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = ci()
    assert (done.returncode, done.stderr) == (0, "")
    assert calls(tmp_path).keys() == PARTS.keys()
    last = done.stdout.splitlines()[-1]
    assert last.startswith("=== all passed: Python 3.11 3.12 3.13 3.14 3.15 3.16 (")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_ci_leaves_no_test_out_and_runs_them_in_what_the_readme_makes(
    ci: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ci()
    assert calls(tmp_path)["tests"] == Call(".venv", 0, "1", "", "-m pytest")
    made = re.findall(r"^(?:.*/)?\.venv\|.*\|(-m pip .*)$", (tmp_path / "asked").read_text(), re.MULTILINE)
    assert made == [PARTS["build"]]


def test_what_ci_runs_beside_the_tests_gives_way_to_them(
    ci: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ci()
    beside = [call.nice for name, call in calls(tmp_path).items() if name in ("lint", "guard", "hooks", "sim")]
    assert beside == [19 - os.nice(0)] * 4


def test_only_what_is_built_for_users_is_compiled_with_what_was_kept(
    ci: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ci()
    kept = {name for name, call in calls(tmp_path).items() if call.cc == "ccache cc"}
    assert kept == {"build", "wheel of the first", "wheel of the last"}
    assert {call.cc for call in calls(tmp_path).values()} == {"ccache cc", ""}


@pytest.mark.parametrize("fails", PARTS.values(), ids=PARTS)
def test_ci_fails_when_a_part_does(ci: Callable[..., subprocess.CompletedProcess[str]], fails: str) -> None:
    done = ci(fails=fails)
    assert done.returncode in (1, 4), done.stdout
    assert "that was told to fail" in done.stdout
    assert "all passed" not in done.stdout


def test_ci_says_in_its_last_line_what_could_not_be_compared(
    ci: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = ci(has_nothing=PARTS["guard"])
    assert done.returncode == 0
    assert "NOT GUARDED: the instruction counts were not compared, see above (" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("part", ["tests", "lint", "guard", "hooks", "sim", "wheels"])
def test_a_part_of_ci_runs_alone(ci: Callable[..., subprocess.CompletedProcess[str]], part: str) -> None:
    done = ci(part)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(f"=== {part} passed: Python 3.11 ")


def test_ci_refuses_a_part_that_it_does_not_have(ci: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = ci("everything")
    assert done.returncode == 2
    assert done.stderr.startswith("unknown part 'everything': allowed are all, tests, ")


def test_the_readmes_test_command_ends_with_the_tests_so_that_ci_can_build_before_it_runs_them() -> None:
    script = ROOT / ".ci" / "readme.py"
    done = subprocess.run([sys.executable, script, "tests"], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split(" && ")[-1] == ".venv/bin/pytest\n"


def test_an_sdist_has_no_c_made_and_a_build_has() -> None:
    code = """
import sys
import setup
setup.cythonize = lambda modules, **_: "made"
for words in (["sdist"], ["egg_info"], ["build_ext", "--inplace"], ["bdist_wheel"], ["editable_wheel"]):
    sys.argv = ["setup.py", *words]
    modules = setup.modules(1)
    print(words[0], modules if modules == "made" else {name[-3:] for each in modules for name in each.sources})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "sdist {'pyx'}", "egg_info {'pyx'}", "build_ext made", "bdist_wheel made", "editable_wheel made",
    ], done.stderr  # fmt: skip


def test_what_one_pythons_wheel_had_made_into_c_serves_the_next(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / ".ci" / "wheel.py"))
    made = tmp_path / "source" / "raftcore" / "one.c"
    made.parent.mkdir(parents=True)
    made.write_text("")

    def wheel(*_: object) -> None:
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist" / "raftpy-1.whl").write_text("")

    script["build"].__globals__.update(run=wheel, make_venv=lambda folder: folder)
    script["build"](tmp_path / "source", tmp_path)
    assert made.stat().st_mtime > time.time() + 3600, "older than what the next environment installs"
