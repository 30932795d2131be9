"""One thread takes snapshots of a group and deletes old ones while another receives some: neither undoes the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftpy.contracts.snapshots import SnapshotRef, complete
from tests.storage.snapshots import MACHINE, Place, contents, raw, write

ROUNDS = 300


@pytest.fixture
def turns() -> Iterator[None]:
    """Threads take turns at every opportunity."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def beside(*works: Callable[[], None]) -> None:
    """Runs them at the same time; what one raises is raised."""
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_what_was_received_is_there_whatever_is_written_and_deleted_meanwhile(tmp_path: Path, turns: None) -> None:
    there, here = Place("memory", tmp_path), Place("memory", tmp_path)
    source, store = there.store(), here.store()
    offers = [write(source, SnapshotRef(0, 10_000 + number, 7), [(MACHINE, b"x" * 50)]) for number in range(ROUNDS)]
    bodies = [raw(source, offered.ref) for offered in offers]
    missing: list[SnapshotRef] = []

    def taking() -> None:
        for number in range(ROUNDS):
            write(store, SnapshotRef(0, 1 + number, 1), [(MACHINE, b"y" * 50)])
            complete(store.retain(0, 10_000))
            complete(store.retain(0, 3))

    def receiving() -> None:
        for offered, body in zip(offers, bodies, strict=True):
            receiver = complete(store.receive(offered))
            receiver.write(body)
            complete(receiver.finish())
            if offered.ref not in store.refs(0):
                missing.append(offered.ref)

    def reading() -> None:
        for _ in range(ROUNDS):
            refs = store.refs(0)
            assert list(refs) == sorted(refs, reverse=True)
            assert store.groups() in ((), (0,))

    beside(taking, receiving, reading)
    assert missing == []
    for ref in store.refs(0):
        assert contents(store, ref), "what is named is there"
    assert set(here.store().refs(0)) == set(store.refs(0)), "and what is there is named"
