"""A row that is closed while somebody uses it, and one whose files cannot be closed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from raftpy.sim.disk.files import DiskFile
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.sealing import seal
from tests.storage.rows import Simulated, open_real, record, scan


def test_what_is_closed_is_neither_read_nor_written(tmp_path: Path) -> None:
    """Beside readers and a writer in threads of their own, which have no other file under the same number."""
    for _ in range(20):
        path = tmp_path / "row"
        path.mkdir()
        row = open_real(path, create=True)
        row.put(*record(0, 1), sync=True)
        said: list[Exception] = []

        def use(call: Callable[[], object], said: list[Exception] = said) -> None:
            with pytest.raises(RuntimeError) as caught:
                while True:
                    call()
            said.append(caught.value)

        def read(row: SegmentRow = row) -> None:
            assert row.get(record(0, 1)[0], verify_checksums=True) == record(0, 1)[1]

        def write(row: SegmentRow = row) -> None:
            row.put(b"I", seal(b"I", b"again"), sync=True)

        threads = [threading.Thread(target=use, args=(call,)) for call in (read, write)]
        for thread in threads:
            thread.start()
        row.close()
        for thread in threads:
            thread.join()
        assert [str(error) for error in said] == ["Database is closed"] * 2
        assert scan(reopened := open_real(path))[record(0, 1)[0]] == record(0, 1)[1]
        reopened.close()
        shutil.rmtree(path)


def test_a_file_that_cannot_be_closed_keeps_no_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Simulated()
    row = place.open(create=True)
    for first in range(1, 3):
        row.put(*record(0, first), sync=True)
        place.executor.run()
    closed, close = [], DiskFile.close

    def failing(file: DiskFile) -> None:
        close(file)
        closed.append(file)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(DiskFile, "close", failing)
    row.close()
    assert len(closed) >= 4  # of two segments the file and the lock
    assert list(row._files.opened) == []  # type: ignore[attr-defined]
