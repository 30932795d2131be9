"""The order of modules: folder by folder, and within each folder from what stands on nothing upward.

A module imports only what stands before it, so a circle cannot come about, and a newcomer can read the tree from its
first line. A new module is put behind the last one that it imports. Names are relative to the folder; `options` and the
like with a dot lie in a folder of their own.
"""

from __future__ import annotations

# raftcore: base knows nothing, wire, log and membership know nothing of one another, the algorithm knows no driver, and
# what is for tests is imported by nothing else.
CORE = """
    base: buffer bytes conflict crc errors growable lists types config options
    values: block changes entries message storage_view
    wire: header frame datagram codec fragment parity incoming bbr congestion outgoing path_size
    log: term_runs unstable window conf_changes pieces staging slices log_entries log
    membership: progress quorum tracker confchange
    algorithm: options state options.backtrack options.lease options.witness sending read_index
        proposals transfer options.priority options.quiet roles election quarantine peer_checks replication
        membership_changes snapshots step
    check: clone invariants protocol_state
    api: outbox receive status take_ready ready raw_node
    testing: cluster_invariants exploration loopback memory_storage
"""

# raftpy: storage and transport know the contracts and the system alone, only the runtime sees both, applications see
# only the node.
RAFTPY = """
    contracts: errors files database entropy executor clock state_machine types typed snapshots fetching storage
        transport
    system: now forking leveldb space write_back durable removing files entropy threads
    storage: records identity leveldb
        snapshots.names snapshots.blocks snapshots.checking snapshots.folder snapshots.memory snapshots.writer
        snapshots.reader snapshots.receiver snapshots.metadata snapshots.store snapshots.choosing
        memory leveldb.head leveldb.floor leveldb.keys leveldb.lock leveldb.wal_records
        leveldb.wal_batches leveldb.sealing leveldb.wal_framing leveldb.wal leveldb.places leveldb.reading
        leveldb.stretch leveldb.segment leveldb.emptying leveldb.many leveldb.ownership
        leveldb.startup leveldb.loading leveldb.row leveldb.upgrade leveldb.spare leveldb.group_log
        leveldb.writer leveldb.store
        offline offline.faults offline.progress offline.salvage offline.directory offline.segments offline.groups
        offline.snapshots offline.examining offline.exporting
    transport: datagram exchange identity exchange.address exchange.http_address exchange.sizes
        exchange.snapshot_frames exchange.probe_frames exchange.lane_frames exchange.lanes
        exchange.unreliable exchange.exchange exchange.counters identity.hello identity.presence identity.refusal
        identity.rules identity.peer identity.gate datagram.names datagram.oversized datagram.due datagram.fragments
        datagram.paths datagram.known datagram.base
        datagram.memory datagram.udp
    .: config
    members: due own_entries table changes addresses operations
    runtime: awaited beside commands log_reading commits defaults founding linger owner store_threads sections
        capturing saved_state starting restoring opening pending_proposals applying quarantine reads role_log
        slow_writes snapshot_policy log_clock stalls status stored_view pace paged_view trailing disk_space group_work
        snapshotting snapshot_source fetching installing pulling offering scrubbing rounds passes rest calls leaving
        group describe table_changes member_calls group_calls driver host
    .: node blocking_members blocking
    replicated: kv_commands held key_order parted_dict sorted_keys kv_packing kv_state kv_puts kv
    server: connections errors bodies proposer redirect dispatch accepting request kv limits members snapshot status app
    sim.linearizability: history models search lineup tried registers result explain checker shrink
    sim: entropy disk disk.faults disk.image disk.contents disk.directory disk.files
        disk.leveldb.varints disk.leveldb.records disk.leveldb.batches disk.leveldb.manifest disk.leveldb.tables
        disk.database data_directory event trace plan outcome world process_loop process strand executor durable_state
        machine network cuts cluster clients snapshot_calls at_rest path_faults lost_orders member_calls descriptors
        faults glance signs promises forged snapshots checks
        sometimes wire readers ending swarm run
        drawing.datagrams drawing.picture drawing.page shrink written guarded totals
        worker worker_process search
    cli: addresses live demo_http demo_writer errors http_client demo_check demo_cluster kv run settings signals serving
        serve limits snapshot status store_view store_export store demo_view demo_run demo sim_view sim
    .: __main__
"""


def order(package: str, table: str) -> list[str]:
    """Dotted names of the modules, from the bottom up."""
    found: list[str] = []
    folder = ""
    for word in table.split():
        if word.endswith(":"):
            folder = word.removesuffix(":")
        else:
            found.append(".".join(part for part in (package, folder.strip("."), word) if part))
    return found
