"""The search for the size that a path takes, from RFC 8899: its phases (5.2), its timers and counters (5.1), what the
network says (4.6), black holes (4.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.wire.path_size import (
    BASE_SIZE,
    ERROR_US,
    LARGEST_SIZE,
    LEAST_SIZE,
    MAX_PROBES,
    PROBE_TIMER_US,
    RAISE_US,
    PathSize,
    Phase,
)

S = 1_000_000


class Path:
    """A path that takes datagrams of ``limit`` bytes, and time, which stands still for as long as probes pass.

    ``tells``: what is too large is refused by the system, which names the limit.
    """

    def __init__(self, limit: int, *, tells: bool = False, largest: int = LARGEST_SIZE) -> None:
        self.limit = limit
        self.tells = tells
        self.now_us = 5 * S
        self.machine = PathSize(largest)
        self.probes: list[int] = []
        self.sizes = [self.machine.size]

    def start(self) -> Path:
        self.machine.start(LARGEST_SIZE, self.now_us)
        return self

    def step(self) -> bool:
        """Sends the probe that is due, at once or when its time comes; False: none ever is."""
        machine = self.machine
        due_us = machine.deadline()
        if due_us is None:
            return False
        self.now_us = max(self.now_us, due_us)
        probe = machine.probe(self.now_us)
        if probe is None:
            return True
        number, size = probe
        self.probes.append(size)
        before = machine.size
        if size <= self.limit:
            changed = machine.answered(number, size, self.now_us)
        elif self.tells:
            changed = machine.told(self.limit, size, self.now_us)
        else:
            changed = False
        assert changed == (machine.size != before)
        if machine.size != self.sizes[-1]:
            self.sizes.append(machine.size)
        return True

    def use(self) -> None:
        """Large datagrams are being sent: the size in use is confirmed, or given up."""
        size = self.machine.size
        self.machine.confirm(self.now_us)
        if self.machine.phase is Phase.COMPLETE and size > self.machine.base:
            self.step()
            while self.machine.size == size > self.limit:
                self.step()

    def settle(self) -> Path:
        """Until the search is complete, or it is sure that the base does not pass."""
        for _ in range(200):
            if self.machine.phase in (Phase.COMPLETE, Phase.ERROR) or not self.step():
                return self
        raise AssertionError(f"no end of the search: {self.probes}")


def test_nothing_is_tried_before_the_peer_says_that_it_answers() -> None:
    machine = PathSize(LARGEST_SIZE)
    assert machine.size == BASE_SIZE
    assert machine.phase is Phase.OFF
    assert machine.deadline() is None
    assert machine.probe(10**12) is None
    assert not machine.lost(0)
    assert not machine.told(1000, 1200, 0)
    assert not machine.answered(1, 1200, 0)
    machine.confirm(0)
    assert machine.probe(10**12) is None


def test_base_first_then_the_largest() -> None:
    path = Path(LARGEST_SIZE).start().settle()
    assert path.probes == [BASE_SIZE, LARGEST_SIZE]
    assert path.sizes == [BASE_SIZE, LARGEST_SIZE]
    assert path.now_us == 5 * S  # two round trips
    assert path.machine.deadline() is None  # there is nothing more to find


def test_what_the_peer_takes_is_a_bound() -> None:
    machine = PathSize(LARGEST_SIZE)
    machine.start(LEAST_SIZE - 1, 0)
    assert machine.phase is Phase.OFF
    machine.start(9000, 0)
    machine.start(20_000, 0)
    assert machine.largest == 9000
    machine = PathSize(2000)
    machine.start(600, 0)
    assert (machine.base, machine.size, machine.largest) == (600, 600, 600)


@pytest.mark.parametrize("limit", [1200, 1252, 1372, 1452, 1472, 8972, 9014, 65_506])
def test_a_system_that_knows_ends_the_search_at_once(limit: int) -> None:
    path = Path(limit, tells=True).start().settle()
    assert path.machine.size == limit
    assert path.probes == [BASE_SIZE, LARGEST_SIZE, limit]
    assert path.now_us == 5 * S


@pytest.mark.parametrize("limit", [LEAST_SIZE, 900, BASE_SIZE - 1])
@pytest.mark.parametrize("after", range(1, 8))
def test_a_path_that_becomes_narrower_than_the_base_during_a_search_is_noticed(limit: int, after: int) -> None:
    """The base is confirmed in 5.2 before anything larger is tried, and nothing else tells of it: datagrams of the base
    size do not count for black holes."""
    path = Path(1220).start()
    for _ in range(after):
        path.step()
    path.limit = limit
    path.settle()
    assert (path.machine.phase, path.machine.size) == (Phase.ERROR, LEAST_SIZE)


def test_the_base_is_asked_again_when_the_search_is_repeated() -> None:
    path = Path(BASE_SIZE).start().settle()
    assert path.probes[-1] == BASE_SIZE
    path.limit = LEAST_SIZE
    path.step()  # ten minutes later
    assert path.machine.phase is Phase.SEARCHING
    path.settle()
    assert (path.machine.phase, path.machine.size) == (Phase.ERROR, LEAST_SIZE)


@pytest.mark.parametrize("limit", [1372, 1392, 1452, 1472, 8952, 8972])
def test_common_sizes_are_found_exactly_without_a_word(limit: int) -> None:
    path = Path(limit).start().settle()
    assert path.machine.size == limit
    assert path.machine.phase is Phase.COMPLETE


def test_a_probe_that_is_not_answered_is_sent_three_times_a_second_apart() -> None:
    path = Path(BASE_SIZE).start()
    path.step()
    path.step()
    assert path.probes == [BASE_SIZE, LARGEST_SIZE]
    began_us = path.now_us
    assert path.machine.probe(began_us + PROBE_TIMER_US - 1) is None
    path.step()
    path.step()
    assert path.probes[1:] == [LARGEST_SIZE] * MAX_PROBES
    path.step()
    assert path.now_us == began_us + MAX_PROBES * PROBE_TIMER_US
    assert path.probes[-1] < LARGEST_SIZE


def test_an_answer_counts_for_any_of_the_three_and_for_no_other_size() -> None:
    machine = PathSize(LARGEST_SIZE)
    machine.start(LARGEST_SIZE, 0)
    probe = machine.probe(0)
    assert probe == (1, BASE_SIZE)
    assert not machine.answered(1, LARGEST_SIZE, 0)  # a size that was not tried
    assert not machine.answered(2, BASE_SIZE, 0)  # a number that was not sent
    assert machine.phase is Phase.BASE
    assert machine.probe(PROBE_TIMER_US) == (2, BASE_SIZE)
    assert not machine.answered(1, BASE_SIZE, PROBE_TIMER_US)  # late, of the same size: it passes, and is in use
    assert machine.phase is Phase.SEARCHING
    assert machine.probe(PROBE_TIMER_US) == (3, LARGEST_SIZE)
    assert not machine.answered(2, BASE_SIZE, PROBE_TIMER_US)  # of a size that is decided on
    assert machine.answered(3, LARGEST_SIZE, PROBE_TIMER_US)


def test_one_lost_probe_decides_nothing() -> None:
    machine = PathSize(LARGEST_SIZE)
    machine.start(LARGEST_SIZE, 0)
    machine.probe(0)
    machine.answered(1, BASE_SIZE, 0)
    for number in (2, 3, 4):
        assert machine.probe((number - 2) * PROBE_TIMER_US) == (number, LARGEST_SIZE)
    assert machine.answered(4, LARGEST_SIZE, 2 * PROBE_TIMER_US + 5)
    assert machine.size == LARGEST_SIZE


def test_probes_count_only_while_the_peer_is_heard() -> None:
    """A black hole swallows what is large alone (4.3); who is away answers nothing."""
    machine = PathSize(LARGEST_SIZE)
    machine.start(LARGEST_SIZE, 0)
    now_us = 0
    for number in range(1, 50):
        assert machine.probe(now_us, silent=True) == (number, BASE_SIZE)
        now_us += PROBE_TIMER_US
    assert (machine.phase, machine.size) == (Phase.BASE, BASE_SIZE)
    for number in range(50, 50 + MAX_PROBES - 1):
        assert machine.probe(now_us) == (number, BASE_SIZE)
        now_us += PROBE_TIMER_US
    assert machine.probe(now_us, silent=True) == (50 + MAX_PROBES - 1, BASE_SIZE)
    now_us += PROBE_TIMER_US
    assert machine.probe(now_us) is None
    assert (machine.phase, machine.size) == (Phase.ERROR, LEAST_SIZE)


def test_what_the_system_refuses_is_refused_whoever_is_heard() -> None:
    machine = PathSize(LARGEST_SIZE)
    machine.start(LARGEST_SIZE, 0)
    assert machine.probe(0) == (1, BASE_SIZE)
    machine.told(900, BASE_SIZE, 0)
    assert machine.probe(0, silent=True) is None
    assert machine.phase is Phase.ERROR


def test_the_search_begins_again_after_ten_minutes() -> None:
    path = Path(1472).start().settle()
    complete_us = path.now_us
    assert path.machine.deadline() == complete_us + RAISE_US
    assert path.machine.probe(complete_us + RAISE_US - 1) is None
    path.limit = LARGEST_SIZE
    path.probes.clear()
    path.step()
    assert path.probes == [LARGEST_SIZE]
    assert path.machine.size == LARGEST_SIZE


def test_confirming_does_not_put_off_the_next_search() -> None:
    path = Path(1472).start().settle()
    due_us = path.machine.deadline()
    path.now_us += 100 * S
    path.machine.confirm(path.now_us)
    path.step()
    assert path.probes[-1] == 1472
    assert path.machine.deadline() == due_us


@pytest.mark.parametrize("before_us", [1, 100_000, PROBE_TIMER_US - 1])
def test_the_next_search_begins_when_it_is_said_to_although_the_size_in_use_was_just_confirmed(before_us: int) -> None:
    path = Path(1472).start().settle()
    due_us = path.machine.deadline() or 0
    path.now_us = due_us - before_us
    path.machine.confirm(path.now_us)
    path.step()
    assert path.machine.deadline() == due_us
    assert path.machine.probe(due_us - 1) is None
    path.probes.clear()
    path.now_us = due_us
    path.step()
    assert path.probes == [LARGEST_SIZE], "whenever something is said to be due, it is"
    assert path.machine.phase is Phase.SEARCHING


def test_a_search_that_is_due_while_the_size_in_use_is_being_confirmed_begins_behind_it() -> None:
    path = Path(1472).start().settle()
    path.now_us = (path.machine.deadline() or 0) - 1
    path.machine.confirm(path.now_us)
    number, size = path.machine.probe(path.now_us) or (0, 0)
    path.now_us += 300_000
    assert path.machine.probe(path.now_us) is None
    assert not path.machine.answered(number, size, path.now_us)
    assert (path.machine.deadline() or 0) <= path.now_us
    path.step()
    assert path.probes[-1] == LARGEST_SIZE


def test_a_path_narrower_than_the_base() -> None:
    path = Path(1000).start().settle()
    assert path.probes == [BASE_SIZE] * MAX_PROBES
    assert path.machine.size == LEAST_SIZE
    assert path.machine.phase is Phase.ERROR
    assert path.machine.deadline() == path.now_us + ERROR_US
    path.limit = 1472
    path.machine.probe(path.now_us)
    path.step()  # the base is tried again, and passes
    assert path.machine.size == BASE_SIZE
    path.settle()
    assert path.machine.size == 1472


def test_where_the_system_refuses_the_base_nothing_is_waited_for() -> None:
    path = Path(1000, tells=True).start().settle()
    assert path.probes == [BASE_SIZE]
    assert path.machine.size == LEAST_SIZE


@pytest.mark.parametrize("tells", [False, True])
def test_a_black_hole_is_found_by_three_probes_of_the_size_in_use(tells: bool) -> None:
    path = Path(8972).start().settle()
    path.limit = 1472
    path.probes.clear()
    path.tells = False
    began_us = path.now_us
    path.machine.confirm(path.now_us)
    while path.machine.size == 8972:
        path.step()
    assert path.machine.size == BASE_SIZE  # at once, whatever else may pass
    assert path.now_us == began_us + MAX_PROBES * PROBE_TIMER_US
    assert path.machine.narrowed == 1
    path.tells = tells
    path.settle()
    assert path.probes[:4] == [8972] * MAX_PROBES + [BASE_SIZE]
    assert path.machine.size == 1472


def searching(limit: int = 1472) -> Path:
    """It is using ``limit``, and has sent a first probe of a larger size, which does not pass."""
    path = Path(limit).start()
    while path.machine.size < limit or path.machine.deadline() == path.now_us:
        path.step()
    assert path.machine.phase is Phase.SEARCHING
    assert path.probes[-1] > limit
    path.probes.clear()
    return path


def test_a_black_hole_is_found_as_fast_while_larger_sizes_are_being_tried() -> None:
    path = searching()
    path.limit = 1300
    began_us = path.now_us
    path.machine.confirm(path.now_us)
    while path.machine.size == 1472:
        path.step()
        path.machine.confirm(path.now_us)  # said again it begins nothing anew
    assert path.probes == [1472] * MAX_PROBES + [BASE_SIZE]
    assert path.now_us == began_us + MAX_PROBES * PROBE_TIMER_US
    assert (path.machine.size, path.machine.narrowed) == (BASE_SIZE, 1)
    path.settle()
    assert BASE_SIZE < path.machine.size <= 1300


def test_a_search_goes_on_where_it_was_once_the_size_in_use_is_confirmed() -> None:
    path = searching()
    larger, due_us = path.machine.tried, path.machine.deadline()
    for _ in range(MAX_PROBES):
        path.machine.confirm(path.now_us)
        path.step()
        assert path.machine.deadline() == due_us
        assert path.machine.tried == larger
        path.step()
        due_us = path.machine.deadline()
    assert path.probes[:-1] == [1472, larger, 1472, larger, 1472], "three probes in all, the first before"
    assert 1472 < path.probes[-1] < larger, "it is given up"
    began_us = path.now_us
    path.settle()
    assert path.machine.size == 1472
    assert path.now_us <= began_us + 8 * MAX_PROBES * PROBE_TIMER_US


def test_what_is_heard_of_a_larger_size_counts_while_the_size_in_use_is_being_confirmed() -> None:
    path = searching()
    machine, larger = path.machine, path.machine.tried
    machine.confirm(path.now_us)
    number, size = machine.probe(path.now_us) or (0, 0)
    assert size == 1472
    assert not machine.answered(number, larger, path.now_us), "this one was not of that size"
    assert not machine.answered(number - 1, 1472, path.now_us)
    assert machine.answered(number - 1, larger, path.now_us)
    assert machine.size == larger
    assert machine.phase is Phase.SEARCHING

    path = searching()
    path.machine.confirm(path.now_us)
    assert not path.machine.told(1472, larger, path.now_us)
    path.settle()
    assert path.probes == [], "there is nothing left to try"
    assert (path.machine.size, path.machine.phase) == (1472, Phase.COMPLETE)


def test_the_search_has_not_lost_a_probe_to_a_peer_that_was_away_while_the_size_in_use_was_being_confirmed() -> None:
    path = searching()
    machine, larger = path.machine, path.machine.tried
    machine.confirm(path.now_us)
    machine.probe(path.now_us)
    path.now_us += PROBE_TIMER_US
    number, size = machine.probe(path.now_us, silent=True) or (0, 0)
    assert size == 1472
    assert not machine.answered(number, size, path.now_us)
    for _ in range(MAX_PROBES):
        path.step()
    assert path.probes == [larger] * MAX_PROBES


def test_what_passes_is_confirmed_by_one_probe() -> None:
    path = Path(8972).start().settle()
    path.probes.clear()
    path.machine.confirm(path.now_us)
    path.machine.confirm(path.now_us)
    path.step()
    assert path.probes == [8972]
    assert path.machine.phase is Phase.COMPLETE
    assert path.machine.narrowed == 0


def test_after_a_false_alarm_the_former_size_is_back_in_two_round_trips() -> None:
    path = Path(8972).start().settle()
    path.probes.clear()
    assert path.machine.lost(path.now_us)
    assert path.machine.size == BASE_SIZE
    assert not path.machine.lost(path.now_us)
    path.step()
    path.step()
    assert path.probes == [BASE_SIZE, 8972]
    assert path.machine.size == 8972


def test_what_the_network_says_of_the_size_in_use() -> None:
    path = Path(8972).start().settle()
    path.limit = 1472
    path.probes.clear()
    assert path.machine.told(1472, 0, path.now_us)
    assert path.machine.size == BASE_SIZE
    path.settle()
    assert path.probes == [BASE_SIZE, 1472]
    assert path.machine.size == 1472


def test_what_the_network_says_is_believed_to_make_smaller_and_never_below_the_base() -> None:
    path = Path(8972).start().settle()
    for limit in (8972, 9000, 70_000, 0, 68, LEAST_SIZE - 1, -5):
        assert not path.machine.told(limit, 0, path.now_us)
        assert path.machine.size == 8972
    assert path.machine.told(600, 0, path.now_us)
    assert path.machine.size == BASE_SIZE
    path.settle()
    assert path.machine.size == BASE_SIZE  # ... until the next search
    path.now_us = path.machine.deadline() or 0
    path.step()
    path.settle()
    assert path.machine.size == 8972


def test_a_refusal_without_a_limit_rules_out_that_size_alone() -> None:
    path = Path(8972).start()
    path.step()
    number, size = path.machine.probe(path.now_us) or (0, 0)
    assert (number, size) == (2, LARGEST_SIZE)
    assert not path.machine.told(0, size, path.now_us)
    path.settle()
    assert path.machine.size == 8972
    assert LARGEST_SIZE not in path.probes


def test_the_system_says_that_not_even_the_base_passes_any_more() -> None:
    path = Path(BASE_SIZE, tells=True).start().settle()
    assert path.machine.size == BASE_SIZE
    path.limit = 900
    assert not path.machine.told(900, BASE_SIZE, path.now_us)
    path.step()
    path.settle()
    assert path.machine.size == LEAST_SIZE


@pytest.mark.parametrize("largest", [0, LEAST_SIZE - 1, LARGEST_SIZE + 1])
def test_sizes_that_cannot_be(largest: int) -> None:
    with pytest.raises(ValueError, match="largest"):
        PathSize(largest)


limits = st.integers(100, 70_000)


@given(limits, st.integers(LEAST_SIZE, LARGEST_SIZE), st.booleans())
def test_any_path_is_found_out(limit: int, largest: int, tells: bool) -> None:
    path = Path(limit, largest=largest, tells=tells).start().settle()
    size, base = path.machine.size, min(BASE_SIZE, largest)
    if limit < base:
        assert size == LEAST_SIZE
    else:
        assert base <= size <= min(limit, largest)
        assert size == largest or size >= min(limit, largest) - max(size // 32, 1)
        assert size == min(limit, largest) or not tells
    assert len(path.probes) <= 16 * MAX_PROBES


@given(st.lists(limits, min_size=2, max_size=5), st.booleans())
def test_a_path_that_changes_is_found_out_again(changes: list[int], tells: bool) -> None:
    path = Path(changes[0], tells=tells).start().settle()
    for limit in changes[1:]:
        path.limit = limit
        path.use()
        path.settle()
        path.use()
        path.settle()
        assert path.machine.size <= max(limit, BASE_SIZE)
    # Whatever has been believed meanwhile, the next search finds what there is.
    for _ in range(2):
        path.now_us = max(path.now_us, path.machine.deadline() or 0)
        path.step()
        path.settle()
    if path.machine.size >= BASE_SIZE and path.limit >= BASE_SIZE:
        assert path.machine.size >= min(limit, LARGEST_SIZE) - max(path.machine.size // 32, 1)


calls = st.one_of(
    st.tuples(st.just("answered"), st.integers(0, 40), st.integers(0, 70_000)),
    st.tuples(st.just("told"), st.integers(-10, 70_000), st.integers(0, 70_000)),
    st.tuples(st.just("wait"), st.integers(0, 20 * S), st.just(0)),
    st.tuples(st.just("lost"), st.just(0), st.just(0)),
    st.tuples(st.just("confirm"), st.just(0), st.just(0)),
)


@given(st.lists(calls, max_size=60), st.integers(LEAST_SIZE, LARGEST_SIZE))
def test_whatever_is_said_only_a_size_that_was_answered_is_used(said: list[tuple[str, int, int]], largest: int) -> None:
    machine, now_us, proven, sent = PathSize(largest), 0, {LEAST_SIZE}, {}
    machine.start(LARGEST_SIZE, now_us)
    proven.add(machine.base)
    for what, one, other in said:
        if (probe := machine.probe(now_us)) is not None:
            assert LEAST_SIZE <= probe[1] <= largest
            assert probe[0] not in sent
            sent[probe[0]] = probe[1]
        if what == "answered":
            size = sent.get(one, other)
            if machine.answered(one, size, now_us):
                assert sent[one] == size
                proven.add(size)
        elif what == "told":
            machine.told(one, other, now_us)
        elif what == "lost":
            machine.lost(now_us)
        elif what == "confirm":
            machine.confirm(now_us)
        else:
            now_us += one
        assert machine.size in proven
        due_us = machine.deadline()
        assert due_us is None or due_us <= now_us + max(RAISE_US, ERROR_US)
