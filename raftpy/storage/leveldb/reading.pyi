from raftpy.storage.leveldb.places import Places
from raftpy.storage.leveldb.wal_batches import Batches

def read_batches(
    batches: Batches, places: Places, segment: int, small: dict[bytes, bytes], where: str
) -> tuple[int, int]: ...
