"""The exceptions of the runtime, all below :class:`raftcore.base.errors.RaftError`.

Each message is one line that names the value at fault and what was allowed or what to do; the command line prints
it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TypeVar

from raftcore.base.conflict import Conflict
from raftcore.base.errors import RaftError


class NotLeader(RaftError):
    """The command was never appended here: this node does not lead. It may be proposed again, to the leader.

    Raised by ``propose``'s awaitable, ``set_priority``, ``set_max_command`` and ``require_leader``, also while
    leadership is handed over. ``leader_id`` is the leader as far as this node knows, or None; ``leader_udp`` and
    ``leader_http`` are its addresses as ``host:port`` (HTTP perhaps ``https://host:port``), None when they are not
    known. ``because``: what this node knows of why there is no leader, in words, or None.
    """

    def __init__(
        self,
        leader_id: int | None = None,
        leader_udp: str | None = None,
        leader_http: str | None = None,
        because: str | None = None,
    ) -> None:
        if leader_id is None:
            text = "not the leader, and no leader is known" + (f" ({because})" if because else "")
        else:
            addresses = [f"udp {leader_udp}"] if leader_udp else []
            addresses += [f"http {leader_http}"] if leader_http else []
            text = f"not the leader: node {leader_id} leads" + (f" ({', '.join(addresses)})" if addresses else "")
        super().__init__(text)
        self.leader_id = leader_id
        self.leader_udp = leader_udp
        self.leader_http = leader_http
        self.because = because


class Timeout(RaftError, TimeoutError):
    """No answer in time, or leadership was lost after appending: the command may or may not be committed.

    Raised by the awaitables of ``propose``, ``propose_many`` and ``read_index`` (a read changes nothing and can be
    asked for again), and by ``transfer_leadership``, ``set_priority`` and ``set_max_command``.
    """

    def __init__(self, text: str = "no answer in time: the command may or may not be committed") -> None:
        super().__init__(text)


class Stopped(RaftError):
    """The node has stopped, or stopped while the call waited; a command handed in may or may not be committed.

    Raised by every call of a node that was not started, and, once it has stopped, by each that proposes, reads or
    waits. ``status`` goes on to answer.
    """

    def __init__(self, text: str = "the node has stopped") -> None:
        super().__init__(text)


class NotOwner(RaftError, RuntimeError):
    """A node was called in another process, thread or event loop than the one that started it; nothing has happened.

    Raised by every public call of ``Node``, and of ``BlockingNode`` in another process. A fork does not take a node
    along: in the child neither socket nor store is touched.
    """


class TooLarge(RaftError, ValueError):
    """A command of ``size`` bytes is larger than what is taken, at most ``limit`` bytes. Nothing has
    happened.

    Raised by ``propose``'s awaitable; the limit is ``Node.max_command``, set by ``Node.set_max_command``.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a command of {size} bytes is too large: at most {limit} bytes are allowed")
        self.size = size
        self.limit = limit


class UnknownGroup(RaftError, LookupError):
    """A store, or a host, was asked for a group that it does not hold; nothing has happened.

    Raised by ``Storage.group``. ``group_id`` is the one asked for.
    """

    def __init__(self, group_id: int) -> None:
        super().__init__(f"group {group_id} is not known here: it was never founded, or lives on other nodes")
        self.group_id = group_id


class StorageFailed(RaftError):
    """A write, a sync or a read of the store failed. The handle is dead: every later call raises this again.

    Raised by every call of a ``Storage``, and by those of a node whose store has failed. What the failed write held may
    or may not be found at the next start; nothing of it was acknowledged.
    """


class StorageLocked(StorageFailed):
    """Another process, or another handle in this one, has the store open. Raised when it is opened, so by
    ``Node.start``.

    ``pid``, ``host`` and ``node_id`` name the holder as it wrote them down; None when it left nothing readable.
    ``path`` is the directory.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        pid: int | None = None,
        host: str | None = None,
        node_id: int | None = None,
    ) -> None:
        if pid is None:
            holder = "by a process that left no name"
        else:
            holder = f"by process {pid} on host {host} as node {node_id}"
        super().__init__(f"the store {path} is in use {holder}; stop it first, or give this node another directory")
        self.path = path
        self.pid = pid
        self.host = host
        self.node_id = node_id


class StorageDamaged(StorageFailed):
    """What the store holds is not what was acknowledged, so this node may not take part with it.

    Raised when it is opened, so by ``Node.start``, and when a record is read back. ``what`` says what is wrong,
    ``where`` names the file or key. A damaged node comes back only under a new node id: with its old one it could vote
    twice in a term, or deny entries that it has acknowledged.
    """

    ADVICE = "this data directory cannot be used again: bring the node back under a new node id with an empty directory"

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{where} is damaged: {what}; {self.ADVICE}")
        self.what = what
        self.where = where


class WrongIdentity(StorageFailed):
    """A data directory was opened for a node or a cluster that it does not belong to, or a pinned peer has changed.

    Raised when it is opened, so by ``Node.start``, and by ``Storage.pin``; a node that meets it while it runs stops.
    """


class ForeignDirectory(StorageFailed):
    """A data directory holds what no node has made. Nothing was written there. Raised when it is opened, so by
    ``Node.start``.

    ``path`` is the directory, ``entries`` are the names that are not a node's.
    """

    SHOWN = 5

    def __init__(self, path: str | PathLike[str], entries: Sequence[str]) -> None:
        shown, more = ", ".join(entries[: self.SHOWN]), len(entries) - self.SHOWN
        super().__init__(
            f"the directory {path} is not a node's and not empty: it holds {shown}"
            + (f" and {more} more" if more > 0 else "")
            + "; nothing was written there: give an empty directory, one that is to be made, or the one that this node "
            "has used before"
        )
        self.path = path
        self.entries = tuple(entries)


class SnapshotFailed(RaftError):
    """A snapshot could not be written, read or received: the system refused a call, as on a full disk. What was begun
    is gone, and every other snapshot is as it was.

    Raised by the calls of ``Snapshots`` and of what they give. ``path`` names the file or directory, ``what`` what
    failed and why; where the system said so, its ``OSError`` is the ``__cause__``.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"the snapshot file {path}: {what}")
        self.path = path
        self.what = what


class SnapshotDamaged(SnapshotFailed):
    """A snapshot is not what was written: cut, changed, of another place, or gone. Nothing of the damaged part was
    given out, and an older snapshot may be whole.

    Raised by ``Snapshots.verify`` and ``open``, while a reader reads, and by ``SnapshotReceiver.finish``.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(path, f"it is damaged: {what}")


class FetchFailed(RaftError):
    """A snapshot did not come from another node. What has come of it stays for the next attempt, from the same node or
    from another one, unless it was damaged or is another one's than the other has.

    Raised by ``Fetching.fetch``. ``source`` is the node id of the other, ``snapshot`` says which one it is, ``why`` is
    one of the reasons below, in words.
    """

    NOT_THERE = "the node has no such snapshot"
    UNREADABLE = "the node cannot read it: its disk does not give it, or it is damaged there"
    SILENT = "nothing of it has come for too long"
    DAMAGED = "all of it has come, and it is not what was offered; none of it was kept"
    CHANGED = "the node has come to offer other bytes under the same name"
    SUPERSEDED = "another snapshot of the group is wanted now"
    CANNOT = "the transport carries no snapshots"

    DAMAGE = (UNREADABLE, DAMAGED, CHANGED)
    """Those of a snapshot that is damaged, or was."""

    def __init__(self, source: int, snapshot: object, why: str) -> None:
        super().__init__(f"the snapshot of {snapshot} was not fetched from node {source}: {why}")
        self.source = source
        self.snapshot = snapshot
        self.why = why


class NoSnapshots(RaftError, TypeError):
    """The state machine gives out no state: it has neither ``capture`` nor ``restore``, or not all that belongs to one
    of the protocols in ``raftpy.contracts.state_machine``. Nothing has happened; its node keeps the whole log.

    Raised by ``Node.snapshot``; and by ``Node.start`` where the log was cut behind a snapshot, which only a machine
    that can be restored is able to begin with.
    """

    def __init__(self, machine: object, why: str) -> None:
        super().__init__(f"the state machine {type(machine).__name__} gives out no state: {why}")


class NoState(RaftError):
    """Nothing happened: this node has its log, and no state that goes with it. None of its snapshots is whole, and it
    gets one from another member, of itself; until then it votes and acknowledges, and serves nothing of its state.

    Raised by ``read_index``'s awaitable, ``Node.snapshot`` and ``Node.commits``; ``propose``'s raises ``NotLeader``, as
    the node does not lead. ``because`` says what is being done about it. Ask another node, or again later.
    """

    def __init__(self, node_id: int, because: str) -> None:
        super().__init__(
            f"node {node_id} has no whole snapshot to go with its log, and gets one from another: {because}"
        )
        self.node_id = node_id
        self.because = because


class NotUnderstood(RaftError):
    """Something was written by a release that knows more than this one, and must not be passed over.

    Raised where typed parts are read: sections of a snapshot, entries of the runtime's own. ``where`` is the file or
    the entry, ``name`` and ``version`` are the part's, ``known`` is the newest version that is known here, or None.
    """

    def __init__(self, where: str, name: str, version: int, known: int | None = None) -> None:
        limit = "does not know it" if known is None else f"knows it up to version {known}"
        super().__init__(
            f"{where}: {name!r} of version {version} must be understood, and this release {limit}: run the release "
            "that wrote it, or a newer one"
        )
        self.where = where
        self.name = name
        self.version = version
        self.known = known


class ChangeRefused(RaftError):
    """A change of the members was refused; nothing has happened, and the text says what is against it.

    Raised by the calls of ``Node.members``: a member that is not heard or does not have the log yet, an id that was
    removed, an address that another member has, another configuration than expected, no majority that would be up.
    """


class Removed(RaftError):
    """The cluster has removed this node, for ever: it takes part no more, and its data directory can be deleted.

    ``Node.failed``, and raised by the calls of a node that has ended so. Started again it ends as soon as a member
    tells it once more. ``node_id`` is the node, ``index`` that of the configuration entry that removed it.
    """

    def __init__(self, node_id: int, index: int) -> None:
        super().__init__(
            f"node {node_id} was removed from its cluster, by entry {index}: it takes part no more; a node comes back "
            "under a new node id with an empty directory"
        )
        self.node_id = node_id
        self.index = index


class TransportFailed(RaftError):
    """The node's address cannot be used: taken, not of this machine, or a name that does not resolve. Raised by
    ``Transport.start``, so by ``Node.start``; nothing is left open."""


class ApplyError(RaftError):
    """Raised by a state machine's ``apply``: it becomes the command's result, the same on every replica.

    ``propose``'s awaitable raises it, ``propose_many``'s gives it in the command's place. The command is committed, and
    counts as applied.
    """


class ApplyFailed(Stopped):
    """The state machine raised something other than ``ApplyError``, and the node has stopped before it acknowledged;
    of a host with several groups only the group has, as long as another one is left, and the text says so.

    Raised by all that waits then, and by later calls. ``index`` is the entry (of a batch the first) it happened at; the
    exception itself is the ``__cause__``. The other replicas will meet the same entry: a bug has to be mended, a lack
    of memory to be cured, before the restart.
    """

    def __init__(self, index: int, last: int | None = None) -> None:
        entries = f"entry {index}" if last is None or last == index else f"entries {index} to {last}"
        self._what = f"the state machine failed at {entries}: only ApplyError is a result"
        super().__init__(f"{self._what}; the node has stopped")
        self.index = index

    def of_group(self, group_id: int) -> ApplyFailed:
        """The same where this group alone has ended."""
        twin = same_error(self).with_traceback(self.__traceback__)
        twin.args = (f"{self._what}; group {group_id} has ended here, and the host goes on with the others",)
        return twin


class RestoreFailed(ApplyFailed):
    """A snapshot of another node has come, in the place of this node's log, or of its own snapshots, which are damaged;
    and the state machine could not be restored from it. The node has stopped, or of a host with several groups this
    one, as with :class:`ApplyFailed`.

    Raised by all that waits then, and by later calls. ``index`` is the snapshot's; why it failed is the ``__cause__``.
    The next start restores it again.
    """

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self._what = f"the state machine could not be restored from the snapshot at entry {index}"
        self.args = (f"{self._what}; the node has stopped",)


class Overloaded(RaftError):
    """Nothing was appended: too much that this leader has appended is not committed, or not applied, yet. Try again
    later.

    Raised by ``propose``'s awaitable; the limit is ``Config.max_uncommitted_bytes``.
    """

    def __init__(
        self, text: str = "too much is waiting to be committed: nothing was appended, try again later"
    ) -> None:
        super().__init__(text)


_Error = TypeVar("_Error", bound=RaftError)


def same_error(error: _Error) -> _Error:
    """A new exception that says the same: class, text, fields and cause, without the traceback."""
    kind = type(error)
    twin = kind.__new__(kind, *error.args)  # not its __init__, whose arguments are those of the class
    twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    return twin


class Quarantined(RaftError):
    """Nothing happened, and nothing will: this node is quarantined. What it holds as committed, its cluster denies.

    Raised by every call that proposes, reads or waits, also after a restart (docs/design.md, decision 1). ``conflict``
    says where. Ask another node; how the cluster gets this one back is in the README.
    """

    def __init__(self, node_id: int, conflict: Conflict) -> None:
        super().__init__(f"node {node_id} is quarantined: {conflict.describe()}")
        self.node_id = node_id
        self.conflict = conflict
