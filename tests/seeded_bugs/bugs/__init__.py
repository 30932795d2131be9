"""The list: every seeded bug, by concern."""

from tests.seeded_bugs.bug import Bug
from tests.seeded_bugs.bugs import (
    commits,
    elections,
    fetching,
    forgotten,
    fragments,
    lanes,
    logs,
    membership,
    offline,
    paths,
    pulling,
    quorums,
    reads,
    replication,
    runtime,
    snapshots,
    storage,
    wire,
)

BUGS: tuple[Bug, ...] = (
    *elections.BUGS,
    *quorums.BUGS,
    *replication.BUGS,
    *commits.BUGS,
    *storage.BUGS,
    *snapshots.BUGS,
    *membership.BUGS,
    *reads.BUGS,
    *logs.BUGS,
    *forgotten.BUGS,
    *wire.BUGS,
    *fragments.BUGS,
    *lanes.BUGS,
    *paths.BUGS,
    *fetching.BUGS,
    *pulling.BUGS,
    *runtime.BUGS,
    *offline.BUGS,
)
