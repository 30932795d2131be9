from typing import Literal

from typing_extensions import Buffer

_Verdict = Literal["whole", "torn", "length", "broken"]

BLOCK: int
WHOLE: _Verdict
TORN: _Verdict
LENGTH: _Verdict
BROKEN: _Verdict

def survey(data: Buffer) -> tuple[_Verdict, int]: ...
