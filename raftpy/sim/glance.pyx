"""The look at a node after each step of its process: what of its cores has changed, and what it leaves when it rests.

It is taken after each step of each process, so it is in C, with the checks of what changes with each command; the
others are in checks.py.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from raftcore.algorithm.state cimport Raft
from raftcore.api.raw_node cimport RawNode
from raftcore.base.bytes cimport load64
from raftcore.base.crc cimport crc32c_update
from raftcore.base.types cimport MsgVote, MsgVoteResp, StateLeader, StateQuarantined, term_t
from raftcore.check.invariants cimport check_raft
from raftcore.log.log_entries cimport term_at
from raftcore.wire.header cimport AT_FROM, AT_FROM_BOOT, AT_FROM_STORE, AT_TO_BOOT

from raftpy.sim.outcome import Broken

from raftpy.runtime.applying cimport Applying
from raftpy.runtime.group_work cimport GroupWork
from raftpy.runtime.reads cimport Reads
from raftpy.sim.process cimport Process
from raftpy.sim.world cimport World
from raftpy.storage.leveldb.head cimport Head
from raftpy.transport.exchange.exchange cimport FIRST_KIND, Link

cdef enum:
    ROLE_CHANGED = 1
    LOG_CHANGED = 2
    COMMIT_CHANGED = 4
    WRITTEN = 8
    RESTS = 0
    FORGOTTEN = 1
    NOT_WRITTEN = 2

LEFT = FORGOTTEN


@cython.final
cdef class GroupHistory:
    """What all lives of all members have shown in one group.

    Attributes:
        leaders: term to node id.
        committed: index to term.
        highest: the last index that anybody held as committed.
        committed_in: index to the lowest term of a node that held it as committed.
        before: (index, term) of an entry to the term of the one before it: log matching, entry by entry.
        commands: index to the command that was applied there first.
        votes: (node, term) to the vote that was durable.
        terms: node to its highest durable term.
        batches: node to the number of the last batch that was durable.
        cuts: node to the index before the first entry of its durable log.
    """
    cdef readonly dict leaders
    cdef readonly dict committed
    cdef readonly uint64_t highest
    cdef readonly dict committed_in
    cdef readonly dict before
    cdef readonly dict commands
    cdef readonly dict votes
    cdef readonly dict terms
    cdef readonly dict batches
    cdef readonly dict cuts

    def __cinit__(self):
        self.leaders = {}
        self.committed = {}
        self.committed_in = {}
        self.before = {}
        self.commands = {}
        self.votes = {}
        self.terms = {}
        self.batches = {}
        self.cuts = {}


@cython.final
cdef class Glance:
    """One core in one life as it looked at the last ``take``; at first as a node that was never started.

    ``role`` (a StateType), ``term``, ``leader``, ``commit`` (the index), ``last_index`` and ``last_term`` (of its log),
    ``terms`` (index to term, of its log), ``written`` (the number of the store's last batch, -1 before the first look).
    """
    cdef public int role
    cdef public uint64_t term
    cdef public uint64_t leader
    cdef public uint64_t commit
    cdef public uint64_t last_index
    cdef public uint64_t last_term
    cdef public int64_t written
    cdef readonly dict terms
    cdef uint64_t logs            # how often the log was seen to have changed

    def __cinit__(self):
        self.written = -1
        self.terms = {}

    cdef int changes(self, Raft r, Head head) except -1:
        # Checks what must hold within the node (InvariantViolation), and says what is not as it was: a sum of ROLE
        # (role, term or leader), LOG (where it ends), COMMIT and HEAD (the store's head is of a later batch); 0 for
        # nothing.
        cdef int found = 0
        if <int> r.state != self.role or r.term != self.term or r.lead != self.leader:
            found |= ROLE_CHANGED
        if r.log.last_index() != self.last_index or r.log.last_term() != self.last_term:
            found |= LOG_CHANGED
        if r.log.committed != self.commit:
            found |= COMMIT_CHANGED
        if found & LOG_CHANGED:
            self.logs += 1
        # What is wrong with an entry stays wrong: each of them is visited now and then, as that takes the longest.
        check_raft(r, found & ROLE_CHANGED or (found & LOG_CHANGED and self.logs % 8 == 0), found != 0)
        if <int64_t> head.number != self.written:
            found |= WRITTEN
        return found

    def take(self, RawNode raw not None):
        """As it looks now is how it looked last."""
        cdef Raft r = raw.raft
        self.role = <int> r.state
        self.term = r.term
        self.leader = r.lead
        self.commit = r.log.committed
        self.last_index = r.log.last_index()
        self.last_term = r.log.last_term()


cdef int rest(GroupWork work, Reads reads, Applying applying, Raft r, Head head) except -1:
    # Whether a group rests when nothing is to be done in its process: RESTS; FORGOTTEN: a pass has left work;
    # NOT_WRITTEN: nothing is under way to the disk, and it does not have what the core promises by. `head`: the
    # store's, None while something may be under way.
    if work.closed:
        return RESTS
    if work.moved or PyList_GET_SIZE(work.appends) or reads.wanted or applying.has_pending():
        return FORGOTTEN
    if head is None or r.state == StateQuarantined:
        return RESTS
    if r.term != head.term or r.vote != head.vote or r.log.last_index() != head.last_index:
        return NOT_WRITTEN
    return RESTS


@cython.final
cdef class GroupSight:
    """Where in one life something of one group is to be seen. None of these is replaced while the life lasts."""
    cdef uint64_t id
    cdef Glance seen
    cdef object log               # the store's, whose head is as of the last batch
    cdef RawNode raw
    cdef GroupWork work
    cdef Reads reads
    cdef Applying applying


@cython.final
cdef class Sight:
    """Where in one life something is to be seen, from when its driver is there."""
    cdef object member
    cdef object life
    cdef object driver
    cdef object storage
    cdef object writer
    cdef object gate
    cdef list groups              # GroupSight, empty before the first look
    cdef dict pins                # what the node was last seen to believe


cdef class Looks:
    """The looks at the nodes of ``cluster``. A subclass says what is wrong, and looks at what has changed.

    ``world``: theirs; ``groups``: the history of each. ``_found``: an exception to be raised at the next look, or
    None; for what is found inside of a node, which would take it for its own failure. ``signs`` and ``wire`` are told
    of each step where ``wire`` is not None. ``_pins``: by node, the pins that one of its lives has believed.
    ``_heard``: (boot of a node, peer): the newest boot of the peer that it has taken something from.
    """
    cdef public object cluster
    cdef public object signs
    cdef public object wire
    cdef public object _found
    cdef public dict _pins
    cdef public dict _heard
    cdef readonly World world
    cdef readonly list groups
    cdef dict members

    def __init__(self, cluster):
        self.world = cluster.world
        self.groups = [GroupHistory() for _ in range(cluster.plan.groups)]
        self.cluster = cluster
        self.members = cluster.members
        self._pins = {}
        self._heard = {}

    def look(self, Process stepped not None):
        """A process has done something."""
        cdef Sight sight = <Sight> stepped.sight
        cdef GroupSight group
        cdef int changes
        cdef dict unwritten
        if self._found is not None:
            raise self._found
        if sight is None:
            sight = self.sight_of(stepped)
            if sight is None:
                return
        elif sight.member.life is not sight.life:
            return
        if PyList_GET_SIZE(stepped.complaints):
            self._escaped(sight.member, sight.life)
        if sight.driver.closed:
            self.cluster.watch(sight.member, sight.life)
            return
        if not PyList_GET_SIZE(sight.groups):
            self.first_look(sight)
        unwritten = sight.life.unwritten
        for group in sight.groups:
            head = group.log.head if unwritten is None else unwritten[group.id]  # life.head(group)
            changes = group.seen.changes(group.raw.raft, <Head?> head)
            if changes:
                if changes & ~<int> WRITTEN:
                    self._changed(sight.member, sight.life, group.raw, group.seen, group.id, changes)
                # Else what it tried to write last is in memory only.
                if changes & WRITTEN and sight.storage._failure is None:
                    self._written(sight.member, group.id, group.seen, head)
        if not len(stepped.calls):
            self.rests(sight)
        if self.wire is not None:
            self.signs.step(sight.life)
            self.wire.stepped(sight.life)

    cdef Sight sight_of(self, Process stepped):
        # None: it is not the life of its node, or its driver is not there yet.
        cdef Sight sight
        member = self.members[stepped.node]
        life = member.life
        if life is None or life.process is not stepped:
            return None
        if PyList_GET_SIZE(stepped.complaints):
            self._escaped(member, life)
        driver = life.host.driver
        if driver is None:
            return None
        sight = stepped.sight = Sight.__new__(Sight)
        sight.member = member
        sight.life = life
        sight.driver = driver
        sight.storage = life.storage
        sight.writer = life.storage._writer
        sight.gate = driver.transport._gate
        sight.groups = []
        sight.pins = self._pins.get(stepped.node, {})
        return sight

    cdef int first_look(self, Sight sight) except -1:
        cdef GroupSight group
        self._new_life(sight.member, sight.life)
        logs = sight.storage._groups
        for id, running in sight.driver.groups.items():
            group = GroupSight.__new__(GroupSight)
            group.id = id
            group.seen = Glance()
            group.log = logs[id]
            group.raw = running.raw
            group.work = running.work
            group.reads = running.reads
            group.applying = running.applying
            sight.groups.append(group)
        return 0

    cdef int rests(self, Sight sight) except -1:
        # Nothing is to be done in a process before something comes: no pass may have left anything, and where no write
        # is under way the disk has what the cores promise by.
        cdef GroupSight group
        cdef bint settled = sight.storage._failure is None and not sight.writer._under_way
        cdef int found
        cdef dict pins
        cdef Link link
        for group in sight.groups:
            found = rest(group.work, group.reads, group.applying, group.raw.raft, group.log.head if settled else None)
            if found != RESTS:
                self._rests_too_early(sight.member, sight.life, group.id, found)
        if sight.member.emptied and sight.driver.rounds.takes_part:
            self._nobody_knew(sight.member, sight.gate.own.store_id)
        pins = sight.gate.pins
        if pins != sight.pins:  # one more, or another store that the member table has agreed on
            sight.pins = self._pins[sight.member.node] = dict(pins)
        for link in (<dict> sight.gate.peers).values():
            if PyList_GET_SIZE(link.ready):
                self._keeps_datagrams(sight.member, link)
        return 0

    def leaving(self, node, bytes datagram not None):
        """A datagram leaves: a vote that is asked for, or given, is on the disk by then (Figure 2; thesis 3.8)."""
        cdef uint8_t kind
        if PyBytes_GET_SIZE(datagram) > FIRST_KIND:
            kind = <uint8_t> PyBytes_AS_STRING(datagram)[FIRST_KIND]
            if kind == <int> MsgVote + 1 or kind == <int> MsgVoteResp + 1:
                self._vote_leaves(node, datagram)

    def given_on(self, node, list datagrams not None):
        """A transport has taken these for datagrams to this life of its node, of lives that are not over."""
        cdef bytes datagram
        cdef const uint8_t* at
        cdef uint64_t own, boot, newest
        life = self.members[node].life
        if life is None:
            return
        driver = life.host.driver
        if driver is None:
            return
        own_boot = driver.boot
        own = own_boot
        for datagram in datagrams:
            at = <const uint8_t*> PyBytes_AS_STRING(datagram)
            boot = load64(at + AT_FROM_BOOT)
            peer = load64(at + AT_FROM)
            key = (own_boot, peer)
            newest = self._heard.get(key, 0)
            if load64(at + AT_TO_BOOT) != own or boot != newest:
                self._hears_another(node, own_boot, peer, newest, datagram)
                self._heard[key] = boot
            if self.members[peer].emptied:
                self._is_pinned(life, peer, load64(at + AT_FROM_STORE))

    # --- What has changed -------------------------------------------------------------------------------------------

    def _changed(self, member, life, RawNode raw not None, Glance seen not None, group, int changes):
        cdef Raft r = raw.raft
        cdef GroupHistory history = <GroupHistory> self.groups[group]
        if changes & <int> ROLE_CHANGED:
            self._role_changed(member, life, raw, seen, group)
        if changes & <int> LOG_CHANGED:
            led = r.state == StateLeader and seen.role == <int> StateLeader and r.term == seen.term
            self._log_changed(member, raw, seen, history, led)
        if changes & <int> COMMIT_CHANGED:
            self._commits(member, raw, seen.commit, r.log.committed, group)
        seen.take(raw)

    def _log_changed(self, member, raw, Glance seen not None, GroupHistory history not None, bint leads):
        """``leads``: the node led in this term at the last look, too."""
        cdef dict terms = seen.terms
        cdef uint64_t first = raw.first_index
        cdef uint64_t last = raw.last_index
        cdef uint64_t index = last
        cdef uint64_t term
        cdef list changed = []
        while index >= first:
            term = term_of(raw, index)
            known = terms.get(index)
            if known is not None and <uint64_t> known == term:
                break
            if leads and index <= seen.last_index:
                raise Broken("leader append-only", f"leader {member.node} of term {raw.term} changed entry {index}")
            terms[index] = term
            changed.append(index)
            index -= 1
        if leads and last < seen.last_index:
            raise Broken("leader append-only", f"leader {member.node} of term {raw.term} cut its log at {last}")
        if last < seen.last_index or (changed and index < seen.last_index):
            self.signs.replaced()
        for index in range(last + 1, seen.last_index + 1):
            terms.pop(index, None)
        for each in changed:
            self.follows(member, each, terms[each], terms.get(each - 1), raw, first, history)

    cdef int follows(self, member, index, term, prior, raw, uint64_t first_index, GroupHistory history) except -1:
        # Log matching, for one entry: the one before it has the same term in all logs.
        if prior is None or <uint64_t> index <= first_index:
            prior = 0 if <uint64_t> index - 1 >= first_index else term_of(raw, <uint64_t> index - 1)
        first = history.before.setdefault((index, term), prior)
        if first != prior:
            raise Broken(
                "log matching",
                f"entry {index} of term {term} follows one of term {prior} in the log of node {member.node}, and one "
                f"of term {first} in another",
            )
        return 0

    def _commits(self, member, raw, uint64_t old, uint64_t commit, group):
        cdef GroupHistory history = <GroupHistory> self.groups[group]
        cdef uint64_t index = max(old + 1, <uint64_t> raw.first_index)
        cdef uint64_t term
        if commit < old:
            raise Broken("commit index", f"node {member.node} went back from {old} to {commit}")
        own = raw.term
        if raw.state == <int> StateLeader and term_of(raw, index) < <uint64_t> own:
            self.signs.committed(raw, index)
        while index <= commit:
            term = term_of(raw, index)
            first = history.committed.setdefault(index, term)
            if <uint64_t> first != term and member.trusted:
                raise Broken(
                    "state machine safety",
                    f"entry {index} was committed in term {first}, and node {member.node} holds it in term {term}",
                )
            lowest = history.committed_in.get(index)
            if lowest is None or <uint64_t> own < <uint64_t> lowest:
                history.committed_in[index] = own
            index += 1
        if member.trusted:
            history.highest = max(history.highest, commit)
        self.world.trace.note(self.world.now, member.node, "commit", (commit, group))

    def _written(self, member, group, Glance seen not None, head):
        cdef GroupHistory history = <GroupHistory> self.groups[group]
        node, term, vote, number = member.node, head.term, head.vote, head.number
        first_look = seen.written < 0
        seen.written = number
        highest = history.terms.get(node, 0)
        if term < highest and member.trusted:
            raise Broken("durable term", f"node {node} had written term {highest}, and has term {term} now")
        history.terms[node] = term
        if vote:
            first = history.votes.setdefault((node, term), vote)
            if first != vote and member.trusted:
                raise Broken("one vote a term", f"node {node} voted in term {term} for {first} and for {vote}")
        if first_look and number <= history.batches.get(node, -1) and member.trusted:  # a start adds one of its own
            batch = history.batches[node]
            raise Broken("damage is noticed", f"node {node} had batch {batch}, and starts with {number}")
        history.batches[node] = number
        prior, begins = history.cuts.get(node, 0), head.prev_index
        if begins != prior:
            history.cuts[node] = begins
            self._begins_elsewhere(member, group, prior, begins, first_look)

    def applied(self, life, group, uint64_t first_index, list commands not None):
        """A state machine is about to apply these."""
        cdef GroupHistory history = <GroupHistory> self.groups[group]
        cdef uint64_t index
        cdef uint32_t checksum
        cdef bytes command = b""
        node, done = life.process.node, life.applied.get(group, 0)
        if first_index <= <uint64_t> done:
            self.found("applied once", f"node {node} applies {first_index} after {done}")
        for index in range(done + 1, first_index):  # mostly none
            if index in history.commands:
                self.found("applied in order", f"node {node} applies {first_index} after {done}, without {index}")
                break
        life.applied[group] = first_index + <uint64_t> PyList_GET_SIZE(commands) - 1
        index = first_index
        for command in commands:
            first = history.commands.setdefault(index, command)
            if first is not command and first != command and self.members[node].trusted:
                self.found("state machine safety", f"node {node} applies another command at {index}")
            index += 1
        # Of the last one.
        checksum = crc32c_update(0, <const uint8_t*> PyBytes_AS_STRING(command), PyBytes_GET_SIZE(command))
        self.world.trace.note(self.world.now, node, "applied", (index - 1, checksum, group))


cdef uint64_t term_of(raw, uint64_t index) except? 0:
    # The term of an entry, 0 where it is not known.
    cdef term_t term = 0
    if type(raw) is RawNode:
        term_at((<RawNode> raw).raft.log, index, &term)
        return term
    return raw.term_at(index) or 0
