"""A node whose state machine waits to be restored: it votes and acknowledges, and neither stands nor applies (paper 7).

Either its log became a snapshot and the driver, which brings snapshots by itself (``hold_snapshots``), is still
restoring the machine from it; or it was started without a state, and gets one of some entry of its log.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftcore import (
    Config,
    ConfState,
    Entries,
    HardState,
    InitialState,
    Message,
    MessageType,
    RawNode,
    Snapshot,
    StateType,
)
from raftcore.base.errors import Compacted, ConfigError, Unavailable
from raftcore.base.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD
from tests.core.server import entries

VOTERS = ConfState(voters=(1, 2, 3))
ELECTION_TICK = 10
BEGUN_AT = InitialState(
    HardState(2, 0, 5), VOTERS, snapshot_index=3, snapshot_term=1, last_index=8, term_runs=((4, 1), (7, 2)),
    awaits_state=True,
)  # fmt: skip


class Log:
    """Entries 4 to 8 of a log that begins behind 3, then what is written."""

    def __init__(self) -> None:
        self.all = {e.index: e for e in entries(4, [1, 1, 1, 2, 2])}

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        return Entries.build([self.all[index] for index in range(lo, hi)])

    def snapshot(self) -> Snapshot:
        return Snapshot()


class Driver:
    """Node 1, whose writes are durable at once."""

    def __init__(self, initial: InitialState = BEGUN_AT) -> None:
        config = Config(id=1, election_tick=ELECTION_TICK, heartbeat_tick=1, async_storage_writes=True)
        self.raw = RawNode(config, initial, Log())
        self.raw.hold_snapshots()
        self.applied: list[int] = []

    def run(self) -> list[Message]:
        """What it sends to others."""
        sent = []
        while self.raw.has_ready():
            for message in self.raw.ready().messages:
                if message.to in (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD):
                    if message.to == LOCAL_APPLY_THREAD:
                        assert message.entries is not None
                        self.applied += [entry.index for entry in message.entries]
                    for answer in message.responses:
                        if answer.to == 1:
                            self.raw.step(answer)
                        else:
                            sent.append(answer)
                else:
                    sent.append(message)
        return sent

    def hear(self, kind: MessageType, term: int = 2, **fields: object) -> list[Message]:
        self.raw.step(Message(kind, to=1, from_=2, term=term, **fields))  # type: ignore[arg-type]
        return self.run()


def installed() -> Driver:
    """Its log has become a snapshot at 20, durably."""
    driver = Driver(replace(BEGUN_AT, awaits_state=False))
    driver.run()
    driver.applied.clear()
    driver.hear(MessageType.MsgSnap, snapshot=Snapshot(20, 2, VOTERS))
    assert (driver.raw.first_index, driver.raw.unstable_snapshot, driver.raw.awaits_state) == (21, 0, True)
    return driver


@pytest.fixture(params=["installed", "started"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return installed() if request.param == "installed" else Driver()


def test_it_applies_nothing(driver: Driver) -> None:
    last = driver.raw.last_index
    driver.hear(MessageType.MsgApp, index=last, log_term=2, commit=last + 1, entries=entries(last + 1, [2]))
    assert driver.raw.commit_index == last + 1
    assert driver.applied == []


def test_it_acknowledges_and_votes(driver: Driver) -> None:
    last = driver.raw.last_index
    (answer,) = driver.hear(MessageType.MsgApp, index=last, log_term=2, entries=entries(last + 1, [2]))
    assert (answer.type, answer.index, answer.reject) == (MessageType.MsgAppResp, last + 1, False)
    (vote,) = driver.hear(MessageType.MsgVote, 5, index=last + 1, log_term=2)
    assert (vote.type, vote.to, vote.reject) == (MessageType.MsgVoteResp, 2, False)


def test_it_does_not_stand_however_long_it_hears_nothing(driver: Driver) -> None:
    driver.raw.tick(0, 100 * ELECTION_TICK)
    assert driver.raw.ticks_until_due() == 2**30
    assert driver.raw.state == StateType.StateFollower
    driver.raw.campaign()
    assert driver.raw.state == StateType.StateFollower
    assert driver.run() == []


def test_it_does_not_take_over(driver: Driver) -> None:
    driver.hear(MessageType.MsgHeartbeat)
    assert driver.hear(MessageType.MsgTimeoutNow) == []
    assert driver.raw.state == StateType.StateFollower


def test_restored_it_goes_on_behind_the_snapshot_and_stands() -> None:
    driver = installed()
    driver.hear(MessageType.MsgApp, index=20, log_term=2, commit=22, entries=entries(21, [2, 2]))
    assert driver.raw.state_restored(Snapshot(20, 2, VOTERS))
    driver.run()
    assert driver.applied == [21, 22]
    driver.raw.tick(0, 2 * ELECTION_TICK)
    assert driver.raw.state != StateType.StateFollower
    assert not driver.raw.state_restored(Snapshot(20, 2, VOTERS))  # it awaits none


@pytest.mark.parametrize("index", [3, 4, 5, 7, 8])
def test_a_state_of_any_durable_entry_will_do_and_the_log_stays(index: int) -> None:
    driver = Driver()
    driver.run()
    term = 1 if index <= 6 else 2
    assert driver.raw.state_fits(index, term)
    assert driver.raw.state_restored(Snapshot(index, term, ConfState(voters=(1, 2, 4)), 2))
    driver.run()
    assert driver.applied == list(range(index + 1, 6))  # what is committed by its own word
    assert (driver.raw.first_index, driver.raw.last_index) == (4, 8)
    assert driver.raw.commit_index == max(index, 5)  # a state is of what is committed
    assert driver.raw.applied_index == max(index, 5)
    assert (driver.raw.conf_state.voters, driver.raw.conf_index) == ((1, 2, 4), 2)
    driver.raw.tick(0, 2 * ELECTION_TICK)
    assert driver.raw.state != StateType.StateFollower


@pytest.mark.parametrize(("index", "term"), [(2, 1), (9, 2), (7, 1), (3, 2), (12, 3)])
def test_no_other_state_will_do(index: int, term: int) -> None:
    """Before the log's beginning, beyond its end, or of an entry that is another one here."""
    driver = Driver()
    before = driver.raw.fingerprint()
    assert not driver.raw.state_fits(index, term)
    assert not driver.raw.state_restored(Snapshot(index, term, VOTERS))
    assert driver.raw.fingerprint() == before
    assert driver.raw.awaits_state


def test_nor_one_of_an_entry_that_a_crash_could_take() -> None:
    driver = Driver()
    driver.raw.step(Message(MessageType.MsgApp, to=1, from_=2, term=2, index=8, log_term=2, entries=entries(9, [2])))
    assert not driver.raw.state_fits(9, 2)
    driver.run()
    assert driver.raw.state_fits(9, 2)


def test_a_leaders_snapshot_takes_the_place_of_a_log_without_a_state() -> None:
    driver = Driver()
    driver.hear(MessageType.MsgSnap, snapshot=Snapshot(20, 2, VOTERS))
    assert driver.raw.first_index == 21
    assert not driver.raw.state_restored(Snapshot(8, 2, VOTERS))  # what was on its way before
    assert driver.raw.state_restored(Snapshot(20, 2, VOTERS))


def test_not_before_that_is_durable() -> None:
    driver = Driver()
    driver.raw.step(Message(MessageType.MsgSnap, to=1, from_=2, term=2, snapshot=Snapshot(20, 2, VOTERS)))
    assert driver.raw.unstable_snapshot == 20
    assert not driver.raw.state_fits(20, 2)
    driver.run()
    assert driver.raw.state_fits(20, 2)


def test_its_log_is_not_cut() -> None:
    driver = Driver()
    with pytest.raises(Compacted):
        driver.raw.compact(3)
    with pytest.raises(Unavailable):
        driver.raw.compact(4)


def test_who_holds_no_snapshots_back_has_the_state_with_the_write() -> None:
    config = Config(id=1, election_tick=ELECTION_TICK, heartbeat_tick=1)
    raw = RawNode(config, BEGUN_AT, Log())
    raw.step(Message(MessageType.MsgSnap, to=1, from_=2, term=2, snapshot=Snapshot(20, 2, VOTERS)))
    assert not raw.awaits_state


def test_a_log_that_is_applied_further_awaits_none() -> None:
    with pytest.raises(ConfigError, match="no state as of 3"):
        RawNode(Config(id=1, election_tick=10, heartbeat_tick=1, applied=5), BEGUN_AT, Log())


def test_it_is_state() -> None:
    driver = Driver()
    copy = driver.raw.clone(Log())
    assert copy.awaits_state
    assert copy.fingerprint() == driver.raw.fingerprint()
    assert RawNode(Config(id=1), replace(BEGUN_AT, awaits_state=False), Log()).fingerprint() != copy.fingerprint()
