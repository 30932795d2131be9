"""What a state machine offers beside ``apply``: nothing, or one of the protocols that end the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from raftpy.contracts.errors import NoSnapshots
from raftpy.contracts.state_machine import InMemoryStateMachine, OnDiskStateMachine, StateMachine
from raftpy.runtime.sections import state_header

IN_MEMORY = ("capture", "restore")
ON_DISK = ("applied_index", "sync")


@dataclass(frozen=True, slots=True)
class Capturing:
    """A state machine that gives out its state."""

    machine: InMemoryStateMachine
    """The machine."""
    on_disk: OnDiskStateMachine | None
    """The same, where it keeps its state itself."""

    @property
    def version(self) -> int:
        """Of the form in which it writes its state."""
        return self.machine.state_version

    def applied_index(self) -> int:
        """The last command that it has without being given one; 0 for none."""
        return 0 if self.on_disk is None else self.on_disk.applied_index()


def capturing(machine: StateMachine) -> Capturing:
    """What the machine offers. Raises ``NoSnapshots``, which says what is missing; ``ValueError`` for a version that
    is none."""
    on_disk = any(_offers(machine, name) for name in ON_DISK)
    missing = [f"{name}()" for name in (*IN_MEMORY, *(ON_DISK if on_disk else ())) if not _offers(machine, name)]
    if not hasattr(machine, "state_version"):
        missing.append("state_version")
    if missing:
        raise NoSnapshots(machine, f"it has no {', no '.join(missing)}")
    offered = cast(InMemoryStateMachine, machine)
    state_header(offered.state_version)
    return Capturing(offered, cast(OnDiskStateMachine, machine) if on_disk else None)


def _offers(machine: StateMachine, name: str) -> bool:
    return callable(getattr(machine, name, None))
