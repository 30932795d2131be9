"""The store on a row of segments: what the shipped one will be, with the same code but for its database."""

from __future__ import annotations

from raftpy.contracts.database import Database
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.storage import LevelDBStorage
from raftpy.storage.identity import new_store_id
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.row import SegmentRow
from raftpy.storage.leveldb.segment import segments


class SegmentedStorage(LevelDBStorage):
    """A ``Storage`` whose records are in a :class:`SegmentRow`, with segments of ``write_buffer_size`` bytes."""

    def _find_floor(self) -> Floor:
        floor = Floor.read(self._files, self.path)
        found = segments(self._files, self._database_path)
        if floor is None:
            if found:
                raise StorageDamaged("it is missing, and there are segments beside it", str(self.path / Floor.FILE))
            floor = Floor(new_store_id(self._entropy))
            floor.write(self._files, self.path)
        return floor

    def _open_database(self, first: bool) -> Database:
        if first:
            self._files.make_directory(self._database_path)
        try:
            return SegmentRow(
                self._database_path,
                create=first,
                files=self._files,
                engine=self._engine,
                executor=self._executor,
                entropy=self._entropy,
                segment_size=self._write_buffer_size,
            )
        except self._engine.Error as error:
            raise StorageFailed(f"opening the store {self.path} failed: {self._engine.text(error)}") from error
