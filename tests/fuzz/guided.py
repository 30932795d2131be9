"""A search guided by the coverage of the compiled core, under AddressSanitizer and UBSan: atheris, which is libFuzzer.

:func:`search` copies the tree, builds it with RAFTPY_FUZZ=1 (clang), and starts ``python -m tests.fuzz.guided TARGET``
there with the sanitizers' runtime loaded first. An over-read, an undefined operation, a leak of the interpreter's own
objects into freed memory, a hang or an exception ends that process and leaves the input behind as a file.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz.engine import HANG_S, LONGEST, Target

ROOT = Path(__file__).parents[2]
COPIED = ("raftcore", "raftpy", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
RUNTIME = "asan_with_fuzzer.so"  # of atheris' wheel: AddressSanitizer, UBSan and libFuzzer in one
MEMORY_MB = 4096  # of the whole process; ASan's shadow and quarantine count
ALLOCATION_MB = 64  # one allocation above it is a finding: no input is longer than a few hundred bytes


def compiler() -> str | None:
    """Path of a clang; the plain name first, then the newest of those with a version."""
    names = ["clang", *(f"clang-{version}" for version in range(30, 10, -1))]
    return next((path for name in names if (path := shutil.which(name))), None)


def missing() -> str | None:
    """Why a guided search cannot run here, or None."""
    if importlib.util.find_spec("atheris") is None:
        return "atheris is not installed (pip install --group fuzz)"
    if compiler() is None:
        return "there is no clang on PATH"
    return None


@contextmanager
def built_tree(**flags: str) -> Iterator[Path]:
    """A copy of the tree in a temporary folder, built in place with these variables in the environment."""
    with tempfile.TemporaryDirectory(prefix="raftpy-fuzz-") as name:
        tree = Path(name)
        copy_tree(tree)
        build(tree, flags)
        yield tree


def copy_tree(tree: Path) -> None:
    """The sources, without anything a build has made."""
    made = shutil.ignore_patterns("*.so", "*.c", "*.o", "*.html", "__pycache__", "*.gcda", "*.gcno")
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=made)
        else:
            shutil.copy(ROOT / part, tree / part)


def build(tree: Path, flags: dict[str, str]) -> None:
    """``setup.py build_ext --inplace``; SystemExit with its output when it fails."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    environment = {**os.environ, **flags}
    if shutil.which("ccache") and "CC" in flags:
        # The folder is another one each time; what a debugger would look up there does not matter.
        environment |= {"CC": f"ccache {flags['CC']}", "CCACHE_NOHASHDIR": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the build with {flags} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def search(target: str, seconds: float, seed: int, corpus: Path, findings: Path) -> int:
    """Builds and searches; new inputs go into ``corpus``, what failed into ``findings``. libFuzzer's exit status."""
    options = [f"-max_total_time={max(1, int(seconds))}", f"-seed={seed % (1 << 32) or 1}", "-print_final_stats=1"]
    return under_sanitizers(target, [*options, f"-artifact_prefix={findings}/", str(corpus.resolve())])


def replay(target: str, files: Iterable[Path]) -> int:
    """Builds, and runs these inputs one after the other, up to the first that fails. libFuzzer's exit status."""
    return under_sanitizers(target, [str(path.resolve()) for path in files])


def under_sanitizers(target: str, arguments: Sequence[str]) -> int:
    """libFuzzer with these arguments, on a core built for it. Its exit status."""
    import atheris

    print("building with clang, AddressSanitizer and UBSan", flush=True)
    with built_tree(RAFTPY_FUZZ="1", CC=compiler() or "clang") as tree:
        environment = {
            **os.environ,
            "LD_PRELOAD": str(Path(atheris.path()) / RUNTIME),
            # What Python keeps to its end is no leak; `python -m tests.fuzz leaks` looks for those.
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # or ASan would see only the arenas that objects lie in
            "PYTHONPATH": str(tree),
        }
        limits = [f"-timeout={HANG_S}", f"-max_len={LONGEST}"]
        limits += [f"-rss_limit_mb={MEMORY_MB}", f"-malloc_limit_mb={ALLOCATION_MB}"]
        command = [sys.executable, "-m", "tests.fuzz.guided", target, *limits, *arguments]
        return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


def target_of(name: str) -> Target:
    """The target of that name."""
    if name == "decode":
        from tests.fuzz.decode_target import run
    else:
        from tests.fuzz.step_target import run
    return run


def main() -> None:
    """In the child: sys.argv[1] is the target, the rest are libFuzzer's options."""
    import atheris

    run = target_of(sys.argv.pop(1))
    atheris.Setup(sys.argv, lambda data: run(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
