"""The values that travel between the core, its peers, its storage and its state machine."""

from collections.abc import Iterable
from typing import Any, ClassVar, final

from raftcore.values.entries import Entries as Entries
from raftcore.values.entries import Entry as Entry

@final
class HardState:
    """What must survive a crash besides the log (Figure 2): current term, vote in it, commit index. Immutable."""

    def __new__(cls, term: int = 0, vote: int = 0, commit: int = 0) -> HardState: ...
    @property
    def term(self) -> int: ...
    @property
    def vote(self) -> int: ...
    @property
    def commit(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class ConfState:
    """A configuration (thesis 4.1 to 4.3); tuples of node ids, sorted ascending. Immutable."""

    def __new__(
        cls,
        voters: Iterable[int] = (),
        voters_outgoing: Iterable[int] = (),
        learners: Iterable[int] = (),
        learners_next: Iterable[int] = (),
        auto_leave: bool = False,
    ) -> ConfState: ...
    @property
    def voters(self) -> tuple[int, ...]: ...
    @property
    def voters_outgoing(self) -> tuple[int, ...]: ...
    @property
    def learners(self) -> tuple[int, ...]: ...
    @property
    def learners_next(self) -> tuple[int, ...]: ...
    @property
    def auto_leave(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Snapshot:
    """What the core knows of a snapshot: its place in the log and the configuration there. Immutable."""

    def __new__(
        cls,
        index: int = 0,
        term: int = 0,
        conf_state: ConfState | None = None,
        conf_index: int = 0,
        time_ms: int = 0,
    ) -> Snapshot: ...
    @property
    def index(self) -> int: ...
    @property
    def term(self) -> int: ...
    @property
    def conf_state(self) -> ConfState: ...
    @property
    def conf_index(self) -> int: ...
    @property
    def time_ms(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Message:
    """One message between nodes, or between a node and its own storage; fields that do not apply are 0 or None."""

    type: int
    to: int
    from_: int
    term: int
    log_term: int
    index: int
    commit: int
    vote: int
    reject: bool
    reject_hint: int
    conf_index: int
    must_sync: bool
    entries: Entries | None
    snapshot: Snapshot | None
    context: bytes | None
    responses: list[Message] | None
    def __init__(
        self,
        type: int,
        to: int = 0,
        from_: int = 0,
        term: int = 0,
        log_term: int = 0,
        index: int = 0,
        commit: int = 0,
        vote: int = 0,
        reject: bool = False,
        reject_hint: int = 0,
        conf_index: int = 0,
        must_sync: bool = False,
        entries: Entries | None = None,
        snapshot: Snapshot | None = None,
        context: bytes | None = None,
        responses: list[Message] | None = None,
    ) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __reduce__(self) -> tuple[Any, ...]: ...
