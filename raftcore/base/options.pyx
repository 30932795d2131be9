"""The settings that a core was made with, as the core reads them: numbers of C in one object that never changes."""

cimport cython

from raftcore.base.types cimport PROMISES, MsgVote


@cython.final
cdef class Options:
    """Made once from a :class:`raftcore.Config`, which has checked everything and says what each of them means.

    Attributes:
        election_timeout, heartbeat_timeout: ``election_tick`` and ``heartbeat_tick``, in ticks.
        quiet_heartbeat_timeout: ``quiet_heartbeat_tick``, or where that is 0 ``heartbeat_tick``.
        promises: bit t is set when messages of type t wait until all that is unstable is durable (thesis 3.8); without
            MsgVote's for ``votes_before_write``.
        max_size_per_msg, max_uncommitted_size, async_storage_writes, check_quorum, pre_vote, ignore_forget_leader,
            disable_proposal_forwarding, disable_conf_change_validation, step_down_on_removal,
            conf_change_after_own_commit, lease_ms, max_reject_runs, trace: as in the Config.
    """

    def __cinit__(self, config):
        self.election_timeout = config.election_tick
        self.heartbeat_timeout = config.heartbeat_tick
        self.quiet_heartbeat_timeout = config.quiet_heartbeat_tick or config.heartbeat_tick
        self.max_size_per_msg = config.max_size_per_msg
        self.max_uncommitted_size = config.max_uncommitted_size
        self.async_storage_writes = config.async_storage_writes
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.ignore_forget_leader = config.ignore_forget_leader
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.disable_conf_change_validation = config.disable_conf_change_validation
        self.step_down_on_removal = config.step_down_on_removal
        self.conf_change_after_own_commit = config.conf_change_after_own_commit
        self.promises = PROMISES & ~(1 << MsgVote) if config.votes_before_write else PROMISES
        self.lease_ms = config.lease_ms
        self.max_reject_runs = config.max_reject_runs
        self.trace = config.trace
