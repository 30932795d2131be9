"""From a plan that fails to a small one that fails by the same check.

What is smaller is easier to understand: fewer faults (delta debugging: Zeller and Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", 2002), a shorter run, fewer nodes, groups and clients, no bad disks and networks that
the failure does not need, options as they are by default. Each change is kept if the world that is planned now still
fails by that check; all of them are tried again until none is kept.

How long it takes is bounded by the number of runs, not by a clock, so the same plan always becomes the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from raftpy.sim.outcome import Failure, Outcome
from raftpy.sim.plan import Fault, Load, NetworkFaults, Options, Plan, SnapshotLoad

Run: TypeAlias = Callable[[Plan], Outcome]

MOST_RUNS = 400
"""Of worlds, for one shrinking."""
OTHER_DICE = 3
"""So many other seeds are thrown after a change of the cluster itself, behind which the old dice fall otherwise."""
NAMES_OTHER = frozenset(("cut", "sever", "slow_link", "transfer", "transfer_by", "priority", "narrow_path"))
"""Kinds of faults of which ``other`` is a node."""
SHORTEST_S = 0.05
"""A run is not made shorter, in virtual seconds."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What has become of a plan."""

    plan: Plan
    """The smallest that was found."""
    failure: Failure
    """How it fails."""
    runs: int
    """How many worlds were run for it."""
    complete: bool
    """No change makes it smaller; False: the runs were used up, or somebody did not want to wait."""
    interrupted: bool = False
    """Somebody did not."""


class NoFailure(ValueError):
    """Raised by ``shrink`` for a plan whose run does not fail."""


class _UsedUp(Exception):
    """The runs are."""


def shrink(
    plan: Plan,
    run: Run,
    *,
    check: str | None = None,
    most_runs: int = MOST_RUNS,
    tell: Callable[[Plan, int], object] = lambda plan, runs: None,
) -> Shrunk:
    """The smallest plan that is found in ``most_runs`` runs and fails by ``check`` (None: by the plan's own failure).

    ``tell`` is called with each smaller plan and the runs so far. KeyboardInterrupt ends it with the smallest plan so
    far. Raises ``NoFailure``, a ValueError, if the plan does not fail by that check to begin with. What the run of a
    smaller plan raises only says that it is no such plan.
    """
    first = run(plan).failure
    if first is None or check not in (None, first.check):
        raise NoFailure(
            f"the plan does not fail{f' by {check}' if check else ''}: there is nothing to shrink"
            if first is None
            else f"the plan fails by {first.check} and not by {check}"
        )
    return _Shrinker(plan, first, run, most_runs, tell).shrunk()


class _Shrinker:
    def __init__(
        self, plan: Plan, failure: Failure, run: Run, most_runs: int, tell: Callable[[Plan, int], object]
    ) -> None:
        self._plan, self._failure, self._run = plan, failure, run
        self._most, self._runs, self._tell = most_runs, 1, tell
        self._failed_not = {plan.to_json()}  # what was tried without success, and what is there already

    def shrunk(self) -> Shrunk:
        complete, interrupted = True, False
        try:
            while self._all_once():
                pass
        except _UsedUp:
            complete = False
        except KeyboardInterrupt:
            complete, interrupted = False, True
        return Shrunk(self._plan, self._failure, self._runs, complete, interrupted)

    def _all_once(self) -> bool:
        """Tries everything; whether anything was of use."""
        before = self._plan
        self._shorter()  # first: a run that does not fail goes on to its end, and there are many of those
        self._fewer_faults()
        for name in ("nodes", "groups"):
            self._smaller_number((), name)
        self._smaller_number(("load",), "clients")
        if self._plan.interleaved:
            self._try(replace(self._plan, interleaved=False))
        for part, usual in (
            ("network", NetworkFaults()),
            ("disk", type(self._plan.disk)()),
            ("load", replace(Load(), clients=self._plan.load.clients)),
            ("options", Options()),
            ("snapshots", SnapshotLoad()),
        ):
            self._as_usual(part, usual)
        self._simpler_faults()
        return self._plan != before

    # --- Trying -----------------------------------------------------------------------------------------------------

    def _try(self, plan: Plan, other_dice: int = 0) -> bool:
        """Takes the plan if it fails by the same check, with its own dice or with ``other_dice`` further ones."""
        return any(self._fails(replace(plan, seed=seed)) for seed in range(plan.seed, plan.seed + other_dice + 1))

    def _fails(self, plan: Plan) -> bool:
        key = plan.to_json()
        if key in self._failed_not:
            return False
        if self._runs >= self._most:
            raise _UsedUp
        self._failed_not.add(key)
        self._runs += 1
        try:
            failure = self._run(plan).failure
        except Exception:
            return False  # such a world cannot be, or breaks in another way
        if failure is None or failure.check != self._failure.check:
            return False
        self._plan, self._failure = plan, failure
        self._tell(plan, self._runs)
        return True

    # --- What is tried ----------------------------------------------------------------------------------------------

    def _fewer_faults(self) -> None:
        """ddmin without the subsets: leaves out pieces, first half of them, at last one by one."""
        size = len(self._plan.faults)
        if size:
            self._try(replace(self._plan, faults=()))
        while size := min(size, len(self._plan.faults)):
            at = 0
            while at < len(faults := self._plan.faults):
                if not self._try(replace(self._plan, faults=faults[:at] + faults[at + size :])):
                    at += size
            if size == 1:
                return
            size = (size + 1) // 2

    def _shorter(self) -> None:
        """Ends soon after the failure, or, if that takes the time to settle, as soon as it will."""
        plan = self._plan
        for duration in (self._failure.time_s * 1.01, plan.duration_s / 2, plan.duration_s * 0.75):
            rounded = max(round(duration, 3), SHORTEST_S)
            if rounded < self._plan.duration_s:
                faults = tuple(fault for fault in self._plan.faults if fault.at_s <= rounded)
                self._try(replace(self._plan, duration_s=rounded, faults=faults))

    def _smaller_number(self, path: Sequence[str], name: str) -> None:
        """The smallest first: a world of one node is the easiest to understand."""
        now = getattr(self._part(path), name)
        for number in range(1, now):
            changed = self._changed(path, {name: number})
            ways = [changed] if name != "nodes" else [_without_nodes_above(changed, number), _moved(changed, number)]
            if any(self._try(way, OTHER_DICE) for way in ways):
                return

    def _as_usual(self, part: str, usual: Any) -> None:
        """All at once; if that is too much, one value after the other."""
        if self._try(replace(self._plan, **{part: usual})):
            return
        for each in fields(usual):
            if getattr(self._part((part,)), each.name) != (value := getattr(usual, each.name)):
                self._try(self._changed((part,), {each.name: value}))

    def _simpler_faults(self) -> None:
        """Round times and values are easier to read."""
        for at in range(len(self._plan.faults)):
            for simpler in _simpler(self._plan.faults[at]):
                faults = self._plan.faults
                if self._try(replace(self._plan, faults=(*faults[:at], simpler, *faults[at + 1 :]))):
                    break

    # --- Parts of plans ---------------------------------------------------------------------------------------------

    def _part(self, path: Sequence[str]) -> Any:
        part: Any = self._plan
        for name in path:
            part = getattr(part, name)
        return part

    def _changed(self, path: Sequence[str], values: dict[str, Any]) -> Plan:
        changed = replace(self._part(path), **values)
        for depth in range(len(path) - 1, -1, -1):
            changed = replace(self._part(path[:depth]), **{path[depth]: changed})
        assert isinstance(changed, Plan)
        return changed


def _without_nodes_above(plan: Plan, nodes: int) -> Plan:
    """Without what befalls nodes that are not there any more, or names one as the other end."""
    return replace(
        plan,
        faults=tuple(
            fault
            for fault in plan.faults
            if fault.node <= nodes and not (fault.kind in NAMES_OTHER and fault.other > nodes)
        ),
    )


def _moved(plan: Plan, nodes: int) -> Plan:
    """What befalls nodes that are not there any more befalls others."""
    faults = tuple(
        replace(
            fault,
            node=(fault.node - 1) % nodes + 1 if fault.node else 0,
            other=(fault.other - 1) % nodes + 1 if fault.kind in NAMES_OTHER and fault.other else fault.other,
        )
        for fault in plan.faults
    )
    return replace(_without_nodes_above(replace(plan, faults=()), nodes), faults=faults)


def _simpler(fault: Fault) -> Iterator[Fault]:
    """With fewer digits, the roundest first; nothing once it is round."""
    for digits in (1, 2, 3):
        rounded = replace(fault, at_s=round(fault.at_s, digits), value=round(fault.value, digits))
        if rounded == fault:
            return
        yield rounded
