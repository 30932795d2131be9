"""The window of messages in flight, against a list."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftcore.base.errors import InvariantViolation
from raftcore.membership.progress import Inflights


class WindowAgainstList(RuleBasedStateMachine):
    """Every sequence of adding, freeing, resetting and cloning, for windows of 1 to 20 messages."""

    @initialize(size=st.integers(1, 20), max_bytes=st.integers(0, 50))
    def begin(self, size: int, max_bytes: int) -> None:
        self.window = Inflights(size, max_bytes)
        self.model: list[tuple[int, int]] = []
        self.last = 0

    def is_full(self) -> bool:
        total = sum(size for _, size in self.model)
        return len(self.model) == self.window.size or 0 < self.window.max_bytes <= total

    @precondition(lambda self: not self.is_full())
    @rule(step=st.integers(0, 3), size=st.integers(0, 20))
    def add(self, step: int, size: int) -> None:
        self.last += step
        self.window.add(self.last, size)
        self.model.append((self.last, size))

    @precondition(lambda self: self.is_full())
    @rule()
    def refuse(self) -> None:
        with pytest.raises(InvariantViolation, match="full window"):
            self.window.add(self.last + 1, 1)

    @rule(back=st.integers(-1, 12))
    def free(self, back: int) -> None:
        index = max(self.last - back, 0)
        self.window.free_le(index)
        self.model = [message for message in self.model if message[0] > index]

    @rule()
    def reset(self) -> None:
        self.window.reset()
        self.model = []

    @rule()
    def go_on_with_a_clone(self) -> None:
        """Whatever happens to the original afterwards, the clone does not notice."""
        clone = self.window.clone()
        self.window.reset()
        self.window.add(self.last + 1, 5)
        self.window = clone

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self.window.messages() == self.model
        assert self.window.count == len(self.model)
        assert self.window.bytes == sum(size for _, size in self.model)
        assert self.window.is_full() == self.is_full()


TestWindow = WindowAgainstList.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_ring_grows_wherever_its_oldest_message_is() -> None:
    """Windows of every size, each growth with some messages wrapped around to the front, also more than the room that
    the last growth makes."""
    for size in range(1, 40):
        for freed in range(size):
            window, model, index = Inflights(size), [], 0
            for target in range(1, size + 1):
                while len(model) < target:
                    index += 1
                    window.add(index, 1)
                    model.append(index)
                model = model[freed % target :]
                window.free_le(model[0] - 1)
                assert [entry for entry, _ in window.messages()] == model, (size, freed, target)


def test_a_window_is_full_at_its_byte_limit() -> None:
    window = Inflights(10, max_bytes=100)
    window.add(1, 60)
    assert not window.is_full()
    window.add(2, 40)
    assert window.is_full()


def test_a_message_above_the_byte_limit_goes_alone() -> None:
    """The limit is looked at before a message is sent, not after: otherwise a large entry could never be sent."""
    window = Inflights(10, max_bytes=100)
    window.add(1, 5000)
    assert window.is_full()
    window.free_le(1)
    assert not window.is_full()


def test_the_largest_window_costs_nothing_until_it_is_used() -> None:
    window = Inflights(2**31 - 1, 2**64 - 1)
    for index in range(1, 1001):
        window.add(index, 2**40)
    window.free_le(999)
    assert window.messages() == [(1000, 2**40)]


def test_a_window_holds_at_least_one_message() -> None:
    with pytest.raises(ValueError, match="0 messages: it must hold at least 1"):
        Inflights(0)


def test_the_clone_of_a_window_that_wraps_around_its_ring() -> None:
    window = Inflights(4, 0)
    for index in (1, 2, 3, 4):
        window.add(index, 10 * index)
    window.free_le(2)
    for index in (5, 6):  # where 1 and 2 were
        window.add(index, 10 * index)
    assert window.clone().messages() == window.messages() == [(3, 30), (4, 40), (5, 50), (6, 60)]
