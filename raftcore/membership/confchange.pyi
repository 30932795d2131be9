from collections.abc import Sequence

from raftcore.membership.progress import Progress
from raftcore.membership.tracker import Tracker, TrackerConfig
from raftcore.values.changes import ConfChange as ConfChange
from raftcore.values.changes import ConfChangeTransition as ConfChangeTransition
from raftcore.values.changes import ConfChangeType as ConfChangeType
from raftcore.values.changes import ConfChangeV2 as ConfChangeV2
from raftcore.values.changes import TransitionAuto as TransitionAuto
from raftcore.values.changes import TransitionJointExplicit as TransitionJointExplicit
from raftcore.values.changes import TransitionJointImplicit as TransitionJointImplicit
from raftcore.values.changes import as_changes as as_changes
from raftcore.values.changes import describe as describe
from raftcore.values.changes import parse as parse
from raftcore.values.message import ConfState

__all__ = [
    "ConfChange",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "TransitionAuto",
    "TransitionJointExplicit",
    "TransitionJointImplicit",
    "as_changes",
    "describe",
    "enter_joint",
    "leave_joint",
    "parse",
    "restore",
    "simple",
]

def simple(
    tracker: Tracker, last_index: int, changes: ConfChange | ConfChangeV2 | Sequence[ConfChange]
) -> tuple[TrackerConfig, dict[int, Progress]]: ...
def enter_joint(
    tracker: Tracker,
    last_index: int,
    auto_leave: bool,
    changes: ConfChange | ConfChangeV2 | Sequence[ConfChange],
) -> tuple[TrackerConfig, dict[int, Progress]]: ...
def leave_joint(tracker: Tracker, last_index: int) -> tuple[TrackerConfig, dict[int, Progress]]: ...
def restore(tracker: Tracker, last_index: int, cs: ConfState) -> tuple[TrackerConfig, dict[int, Progress]]: ...
