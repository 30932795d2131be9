# The settings that a core was made with, for all its life: shared by the core, its clones and all its parts.
# What can change while the core runs (witnesses, priorities) is state: raftcore.algorithm.state.
cimport cython
from libc.stdint cimport uint32_t, uint64_t

@cython.final
cdef class Options:
    # Immutable: nothing but its construction writes to it. Units and meanings are raftcore.base.config's.
    cdef readonly int election_timeout                 # ticks, as all timeouts
    cdef readonly int heartbeat_timeout
    cdef readonly int quiet_heartbeat_timeout          # heartbeat_timeout at least
    cdef readonly uint64_t max_size_per_msg            # bytes of blocks in one append
    cdef readonly uint64_t max_uncommitted_size        # bytes of payload; NO_LIMIT: they are not counted
    cdef readonly bint async_storage_writes            # the driver's form: storage work as messages with responses
    cdef readonly bint check_quorum
    cdef readonly bint pre_vote
    cdef readonly bint ignore_forget_leader
    cdef readonly bint disable_proposal_forwarding
    cdef readonly bint disable_conf_change_validation
    cdef readonly bint step_down_on_removal
    cdef readonly bint conf_change_after_own_commit
    cdef readonly uint32_t promises                    # the message types that wait until all unstable is durable
    cdef readonly uint64_t lease_ms                    # length of the lease, 0: none is used
    cdef readonly int max_reject_runs                  # runs of terms listed in a rejection; 0: the plain hint
    cdef readonly object trace                         # None, or called with (event, fields)
