"""What all tests share: which of them can run here, and the seed from which every random choice is drawn.

Three things a test may need are not on every machine. Tests that need them carry a marker; where the thing is missing
they are left out, never skipped one by one, and the last lines of the run say how many and why. With
RAFTPY_TEST_ALL=1 (set by .ci/run) a run that would leave something out does not start.
"""

from __future__ import annotations

import os
import random
import signal
import zlib
from collections import Counter

import hypothesis
import pytest

from tests.interaction import default_folder
from tests.network.namespaces import unavailable

LEFT_OUT: Counter[str] = Counter()

hypothesis.settings.register_profile("raftpy", deadline=None, print_blob=True)
hypothesis.settings.load_profile("raftpy")


def missing() -> dict[str, str]:
    """Marker -> why this machine cannot serve it; only markers that it cannot serve."""
    reasons: dict[str, str] = {}
    if not default_folder().is_dir():
        reasons["needs_shared"] = f"no folder {default_folder()}; set RAFTPY_TRANSCRIPTS to a copy of the transcripts"
    if os.geteuid() != 0:
        reasons["needs_root"] = "not running as root"
    if (why := unavailable()) is not None:
        reasons["needs_namespaces"] = why
    return reasons


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="base of all random choices (also: RAFTPY_TEST_SEED)")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup: the programs that tests start and signal inherit it
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script: the same
    # Runs before hypothesis' own plugin and, under xdist, before the workers copy the options: one seed for all.
    if config.option.seed is None:
        given = os.environ.get("RAFTPY_TEST_SEED")
        config.option.seed = int(given) if given else random.SystemRandom().randrange(1 << 32)
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(config.option.seed)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.seed} (replay: pytest --seed {config.option.seed})"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = missing()
    kept, dropped = [], []
    for item in items:
        marker = next((name for name in reasons if item.get_closest_marker(name)), None)
        if marker is None:
            kept.append(item)
        else:
            LEFT_OUT[marker] += 1
            dropped.append(item)
    if dropped and os.environ.get("RAFTPY_TEST_ALL") == "1":
        wanted = "; ".join(f"{count} tests are {name}: {reasons[name]}" for name, count in LEFT_OUT.items())
        raise pytest.UsageError(f"RAFTPY_TEST_ALL=1, but {wanted}")
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = missing()
    for marker, count in sorted(LEFT_OUT.items()):
        terminalreporter.write_line(f"left out: {count} tests marked {marker} ({reasons[marker]})")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number for this test's random choices: from --seed and the test's name, the same in every replay."""
    base: int = request.config.option.seed
    value = base ^ zlib.crc32(request.node.nodeid.encode())
    request.node.user_properties.append(("seed", value))
    request.node.add_report_section(
        "setup", "seed", f"seed = {value}; replay: pytest '{request.node.nodeid}' --seed {base}"
    )
    return value
