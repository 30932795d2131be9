"""A search through byte strings without any help of the compiler: mutations, and a corpus of those that showed more.

A target is called with bytes and returns what it saw, as words; whatever it raises is a finding. An input whose words
are not all known joins the corpus and is mutated further. That is the principle of libFuzzer with coarser eyes: it runs
everywhere, while :mod:`tests.fuzz.guided` needs clang and atheris. All choices come from one seed.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

Target = Callable[[bytes], set[str]]
HANG_S = 20  # one input that takes longer is a finding
LONGEST = 600  # bytes of an input


class Hang(AssertionError):
    """One input took too long."""


@dataclass
class Outcome:
    """What a search did."""

    runs: int = 0
    corpus: list[bytes] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    failure: tuple[bytes, BaseException] | None = None


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hang(f"one input took more than {HANG_S} s")


def guarded(target: Target, data: bytes) -> set[str]:
    """The target on data; Hang when it takes too long. Main thread only, as signals are."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        return target(data)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutated(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """data with one to four changes; some take a piece of ``other``."""
    out = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 3, 4])):
        at = dice.randrange(len(out) + 1)
        match dice.randrange(7):
            case 0 if at < len(out):
                out[at] = dice.randrange(256)
            case 1 if at < len(out):
                out[at] ^= 1 << dice.randrange(8)
            case 2:
                out[at:at] = dice.randbytes(dice.choice([1, 2, 4, 16]))
            case 3:
                del out[at : at + dice.choice([1, 2, 4, 16])]
            case 4:
                start = dice.randrange(len(other) + 1)
                out[at:at] = other[start : start + dice.choice([4, 16, 64])]
            case 5:
                out[at:] = other[dice.randrange(len(other) + 1) :]
            case 6:  # a piece of itself once more
                start = dice.randrange(len(out) + 1)
                out[at:at] = out[start : start + dice.choice([2, 8, 32])]
    return bytes(out[:LONGEST])


def search(target: Target, seeds: Iterable[bytes], seed: int, *, seconds: float = 1e9, runs: int = 1 << 62) -> Outcome:
    """Runs the seeds, then mutations of them and of what they led to, until time or runs are used up or one fails."""
    dice = random.Random(seed)
    outcome = Outcome()
    stop = time.monotonic() + seconds
    waiting = list(seeds)
    while outcome.runs < runs and time.monotonic() < stop:
        if waiting:
            data = waiting.pop(0)
        elif not outcome.corpus or dice.random() < 0.05:
            data = dice.randbytes(dice.choice([8, 64, 300]))
        else:
            # The younger half of the corpus is looked at as often as all the rest.
            corpus = outcome.corpus if dice.random() < 0.5 else outcome.corpus[len(outcome.corpus) // 2 :]
            data = mutated(dice, dice.choice(corpus), dice.choice(outcome.corpus))
        outcome.runs += 1
        try:
            words = guarded(target, data)
        except Exception as error:
            outcome.failure = (data, error)
            return outcome
        if not words <= outcome.seen:
            outcome.seen |= words
            outcome.corpus.append(data)
    return outcome


def kind_of(error: BaseException) -> str:
    """What makes two findings the same: the type, and the text without its numbers."""
    return f"{type(error).__name__}: {''.join(c for c in str(error) if not c.isdigit())[:80]}"


def minimised(target: Target, data: bytes, error: BaseException, *, seconds: float = 60) -> bytes:
    """A shorter input that ends in the same kind of finding: pieces are left out, then bytes made small."""
    wanted = kind_of(error)
    stop = time.monotonic() + seconds

    def fails(candidate: bytes) -> bool:
        try:
            guarded(target, candidate)
        except Exception as found:
            return kind_of(found) == wanted
        return False

    piece = max(1, len(data) // 2)
    while time.monotonic() < stop:
        before = data
        at = 0
        while at < len(data) and time.monotonic() < stop:
            shorter = data[:at] + data[at + piece :]
            if fails(shorter):
                data = shorter
            else:
                at += piece
        if piece > 1:
            piece //= 2
        elif data == before:
            break
    for at in range(len(data)):
        for value in (0, data[at] & 31, data[at] & 15):
            if value < data[at] and time.monotonic() < stop:
                smaller = data[:at] + bytes([value]) + data[at + 1 :]
                if fails(smaller):
                    data = smaller
                    break
    return data


def read_corpus(folder: Path) -> list[bytes]:
    """The inputs in a folder, by name."""
    return [path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()]
