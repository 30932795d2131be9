from typing import Literal

from typing_extensions import Buffer

_Verdict = Literal["whole", "torn", "length", "broken"]

BLOCK: int
HEADER: int
WHOLE: _Verdict
TORN: _Verdict
LENGTH: _Verdict
BROKEN: _Verdict

def survey(data: Buffer, begin: int = 0) -> tuple[_Verdict, int]: ...
def whole_until(data: Buffer, begin: int) -> int: ...
def record_holds(data: Buffer, offset: int, stop: int) -> bool: ...
def length_is_damaged(data: Buffer, offset: int, stop: int) -> bool: ...
