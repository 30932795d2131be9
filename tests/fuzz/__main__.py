"""Searches for inputs that break the core, and for memory that does not come back.

    python -m tests.fuzz decode|step [--seconds N] [--seed S] [--corpus DIR] [--engine auto|guided|portable]
    python -m tests.fuzz decode|step --replay FILE...     the inputs in these files, one after the other; with
                                                          --engine guided under the sanitizers
    python -m tests.fuzz leaks [--steps N] [--seed S]

Exit status: 0 nothing found, 1 a finding (the input is saved, minimised, and how to replay it is said), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import engine, guided, leaks

CORPUS = Path(__file__).parent / "corpus"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("decode", "step", "leaks"))
    parser.add_argument("--seconds", type=float, default=60, help="how long to search (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; printed when not given")
    parser.add_argument("--corpus", type=Path, help="inputs to begin with; a guided search adds what it learns")
    parser.add_argument("--engine", choices=("auto", "guided", "portable"), default="auto")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="run these inputs, search nothing")
    parser.add_argument("--findings", type=Path, default=Path("."), help="folder for inputs that fail (default: here)")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of leaks (default: %(default)s)")
    return parser.parse_args(arguments)


def replay(target: engine.Target, files: Sequence[Path]) -> int:
    """Runs each; the traceback of those that fail. Exit status."""
    failed = 0
    for path in files:
        try:
            engine.guarded(target, path.read_bytes())
        except Exception:
            failed += 1
            print(f"{path}:\n{traceback.format_exc()}", file=sys.stderr)
    print(f"{len(files)} inputs, {failed} failed")
    return 1 if failed else 0


def save(target: engine.Target, what: str, data: bytes, error: BaseException, folder: Path) -> None:
    """Writes the minimised input, and says how to see it fail again."""
    small = engine.minimised(target, data, error)
    path = folder / f"finding-{what}-{zlib.crc32(small):08x}"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small)
    print("".join(traceback.format_exception(error)), file=sys.stderr)
    print(f"{len(small)} bytes: {small.hex()}\nreplay: python -m tests.fuzz {what} --replay {path}", file=sys.stderr)


def portable(options: argparse.Namespace, target: engine.Target, seeds: list[bytes]) -> int:
    """A search of :mod:`tests.fuzz.engine`. Exit status."""
    begun = time.monotonic()
    outcome = engine.search(target, seeds, options.seed, seconds=options.seconds)
    print(
        f"{options.what}: {outcome.runs} runs in {time.monotonic() - begun:.0f} s, {len(outcome.seen)} different "
        f"things seen, {len(outcome.corpus)} inputs showed something new"
    )
    if outcome.failure is None:
        return 0
    save(target, options.what, *outcome.failure, options.findings)
    return 1


def coverage_guided(options: argparse.Namespace, target: engine.Target, seeds: list[bytes]) -> int:
    """A search of :mod:`tests.fuzz.guided`; what it finds is minimised here if it fails here too. Exit status."""
    options.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        corpus = options.corpus or Path(name)
        corpus.mkdir(parents=True, exist_ok=True)
        for data in set(seeds) - set(engine.read_corpus(corpus)):
            (corpus / f"seed-{zlib.crc32(data):08x}").write_bytes(data)
        before = set(options.findings.glob("*"))
        status = guided.search(options.what, options.seconds, options.seed, corpus, options.findings.resolve())
        print(f"{len(list(corpus.glob('*')))} inputs in the corpus")
    for path in sorted(set(options.findings.glob("*")) - before):
        try:
            engine.guarded(target, path.read_bytes())
            again = f"python -m tests.fuzz {options.what} --engine guided --replay {path}"
            print(f"{path}: fails under the sanitizers only\nreplay: {again}", file=sys.stderr)
        except Exception as error:
            save(target, options.what, path.read_bytes(), error, options.findings)
    return 1 if status else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    if options.what == "leaks":
        return leaks.main(options.steps, options.seed)
    target = guided.target_of(options.what)
    why_not = guided.missing()
    if options.engine == "guided" and why_not:
        print(f"no guided search: {why_not}", file=sys.stderr)
        return 2
    if options.replay and options.engine == "guided":
        return 1 if guided.replay(options.what, options.replay) else 0
    if options.replay:
        return replay(target, options.replay)
    with_compiler = options.engine != "portable" and why_not is None
    print(f"seed: {options.seed}; engine: {'guided' if with_compiler else 'portable'}", flush=True)
    seeds = engine.read_corpus(CORPUS / options.what)
    if options.corpus is not None and options.corpus.is_dir():
        seeds += engine.read_corpus(options.corpus)
    return (coverage_guided if with_compiler else portable)(options, target, seeds)


if __name__ == "__main__":
    sys.exit(main())
