"""Keys with values and versions as bytes; the docstrings are in kv_packing.pyx."""

from typing import final

from raftpy.replicated.parted_dict import DictView, PartedDict

@final
class Packer:
    def __init__(self, view: DictView, start: bytes, chunk: int) -> None: ...
    def next_chunk(self) -> bytes | None: ...

def unpack_keys(data: bytes, at: int, into: PartedDict, most: int) -> tuple[int, int, int]: ...
