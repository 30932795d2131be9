"""Puts that are carried out together; the docstrings are in kv_puts.pyx."""

from raftpy.replicated.parted_dict import PartedDict
from raftpy.replicated.sorted_keys import SortedKeys

def put_all(first_index: int, commands: list[bytes], data: PartedDict, keys: SortedKeys) -> int: ...
