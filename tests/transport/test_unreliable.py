"""A bad network on purpose: its settings, and that it is as bad as they say."""

from __future__ import annotations

import math
import random

import pytest

from raftcore.base.errors import ConfigError
from raftpy.transport import Unreliable
from tests.transport.support import World, commits, heartbeat, identity, peer_counts

OFF = Unreliable(delay_ms=(0, 0), long_delay_rate=0, drop_rate=0)


@pytest.mark.parametrize("text", ["", "0", "off", " OFF "])
def test_off(text: str) -> None:
    assert Unreliable.parse(text) is None
    assert Unreliable.from_environment({"RAFTPY_UNRELIABLE": text}) is None


def test_not_set() -> None:
    assert Unreliable.from_environment({}) is None


@pytest.mark.parametrize("text", ["1", "on", "On"])
def test_defaults_are_those_of_the_starting_text(text: str) -> None:
    assert Unreliable.from_environment({"RAFTPY_UNRELIABLE": text}) == Unreliable()
    assert Unreliable() == Unreliable((1.0, 5.0), 75.0, 0.1, 0.1, 0.0, 0.0, None)


def test_every_key() -> None:
    assert Unreliable.parse("drop=0.25, delay=2-8,long=50,long_rate=0.2,dup=0.05,reorder=0.5,seed=7") == Unreliable(
        (2, 8), 50, 0.2, 0.25, 0.05, 0.5, 7
    )
    assert Unreliable.parse("delay=3") == Unreliable(delay_ms=(3, 3))
    assert Unreliable.parse("drop=0") == Unreliable(drop_rate=0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yes", "'yes' is no KEY=VALUE"),
        ("2", "'2' is no KEY=VALUE"),
        ("drop", "'drop' is no KEY=VALUE"),
        ("loss=0.1", "'loss' is not known"),
        ("drop=ten", "could not convert string to float: 'ten'"),
        ("drop=10", "drop_rate=10.0"),
        ("drop=nan", "drop_rate=nan"),
        ("dup=-0.1", "duplicate_rate=-0.1"),
        ("drop=0.6,long_rate=0.6", "together"),
        ("delay=5-1", "delay_ms=(5.0, 1.0)"),
        ("delay=1-2-3", "could not convert"),
        ("delay=inf", "delay_ms=(inf, inf)"),
        ("long=-1", "long_delay_ms=-1.0"),
        ("long=60001", "long_delay_ms=60001.0"),
        ("seed=x", "invalid literal"),
        ("drop=0.1,,", "'' is no KEY=VALUE"),
    ],
)
def test_bad_value_names_itself_and_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Unreliable.from_environment({"RAFTPY_UNRELIABLE": text})
    line = str(caught.value)
    assert line.startswith(f"RAFTPY_UNRELIABLE={text!r}: ")
    assert complaint in line
    assert "allowed is 1 or on" in line


def test_the_documented_example_is_allowed() -> None:
    from raftpy.transport.exchange.unreliable import ALLOWED

    assert Unreliable.parse(ALLOWED.split("as in ")[1].rstrip(")")) == Unreliable()


def close_to(count: int, expected: float, trials: int) -> bool:
    """Within six standard deviations: wrong by chance once in 500 million."""
    share = expected / trials
    return abs(count - expected) <= 6 * math.sqrt(trials * share * (1 - share)) + 1


def test_rates_and_delays(seed: int) -> None:
    spec = Unreliable((1, 5), 75, 0.1, 0.2, duplicate_rate=0.3)
    source = random.Random(seed)
    trials = 20_000
    fates = [spec.draw(source) for _ in range(trials)]
    assert close_to(sum(not fate for fate in fates), 0.2 * trials, trials)
    arrived = [fate for fate in fates if fate]
    assert close_to(sum(len(fate) == 2 for fate in arrived), 0.3 * len(arrived), len(arrived))
    assert close_to(sum(fate[0] == 0.075 for fate in arrived), 0.1 * trials, trials)
    usual = [fate[0] for fate in arrived if fate[0] != 0.075] + [fate[1] for fate in arrived if len(fate) == 2]
    assert all(0.001 <= delay <= 0.005 for delay in usual)
    assert min(usual) < 0.0011
    assert max(usual) > 0.0049


def test_reordered_ones_are_overtaken(seed: int) -> None:
    spec = Unreliable((2, 2), drop_rate=0, long_delay_rate=0, reorder_rate=0.25)
    source = random.Random(seed)
    delays = [spec.draw(source) for _ in range(10_000)]
    assert {delay for [delay] in delays} == {0.002, 0.006}
    assert close_to(sum(delay == [0.006] for delay in delays), 2500, 10_000)
    [undelayed] = Unreliable((0, 0), drop_rate=0, long_delay_rate=0, reorder_rate=1).draw(source)
    assert undelayed == 0.001


@pytest.mark.parametrize("rate", [0, 1])
def test_certainties(rate: int, seed: int) -> None:
    source = random.Random(seed)
    dropping = Unreliable(drop_rate=rate, long_delay_rate=0)
    assert all((dropping.draw(source) == []) == (rate == 1) for _ in range(100))
    doubled = Unreliable(drop_rate=0, long_delay_rate=0, duplicate_rate=rate)
    assert all(len(doubled.draw(source)) == 1 + rate for _ in range(100))


def run(spec: Unreliable, seed: int) -> tuple[list[int], dict[str, int]]:
    """100 heartbeats from node 1, one a millisecond: in which order they arrive, and what was counted."""
    world = World(seed)
    one = world.start(identity(1), unreliable=spec)
    world.start(identity(2))
    while not one.reachable(2):
        world.settle(0.1)
    for commit in range(100):
        one.send(heartbeat(2, commit=commit))
        one.flush()
        world.settle(0.001)
    world.settle(0.2)
    return commits(world.take(2)), peer_counts(one, 2)


def test_a_seed_repeats_the_run_exactly() -> None:
    spec = Unreliable(drop_rate=0.3, duplicate_rate=0.2, reorder_rate=0.1, seed=11)
    assert run(spec, 1) == run(spec, 1)
    other = Unreliable(drop_rate=0.3, duplicate_rate=0.2, reorder_rate=0.1, seed=12)
    assert run(spec, 1) != run(other, 1)


def test_what_is_done_on_purpose_is_counted() -> None:
    order, counts = run(Unreliable(drop_rate=0.3, duplicate_rate=0.2, seed=3), 1)
    assert counts["sent"] == counts["dropped"] + counts["delayed"]
    assert counts["dropped"] > 15
    assert counts["duplicated"] > 5
    assert len(order) > len(set(order)), "some came twice"
    assert order != sorted(order), "some overtook others"


def test_nothing_done_when_all_is_off() -> None:
    order, counts = run(OFF, 1)
    assert order == list(range(100))
    assert counts["dropped"] == counts["duplicated"] == counts["delayed"] == 0


def test_replies_suffer_as_requests_do() -> None:
    """The bad network is on both sides' sending, so with total loss at node 2 nothing comes back."""
    world = World()
    one = world.start(identity(1))
    world.start(identity(2), unreliable=Unreliable(drop_rate=1, long_delay_rate=0))
    world.settle(2)
    assert not one.reachable(2) or peer_counts(one, 2)["received"] == 0
    assert peer_counts(world.transports[2], 1)["probes"] > 0, "node 1 is heard"
    assert peer_counts(one, 2)["incarnations"] == 0, "node 2's answers are lost"


def test_a_delayed_datagram_does_not_leave_after_close() -> None:
    world = World()
    one = world.start(identity(1), unreliable=Unreliable(drop_rate=0, long_delay_rate=1))
    one.close()
    sent = world.network.sent
    world.settle(1)
    assert world.network.sent == sent
