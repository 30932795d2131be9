// etcdraft is one node of go.etcd.io/raft v3.6 with etcd's write-ahead log, told what to do by harness.
//
//	etcdraft --id 1 --cluster 1=127.0.0.1:1,... --data DIR   a node
//	etcdraft core -batch N -entries M                        three cores in one process
//
// etcd/raft is a core; the rest is ours, built as its documents advise and as etcd does it: a single goroutine owns the
// RawNode; all waiting proposals are stepped as one MsgProp; the leader sends before it writes (thesis 10.2.1); the
// write-ahead log is etcd's own; messages travel length-prefixed over TCP, as many in one write as wait.
package main

import (
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"harness"
)

const (
	tick         = 10 * time.Millisecond
	maxInflight  = 8 // appends on their way to a follower; measured to be better than more
	maxAppend    = 1 << 20
	maxCommitted = 16 << 20
	queue        = 8192
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type proposal struct {
	entries []pb.Entry
	last    uint64 // index of its last entry, once appended
	done    chan error
}

type node struct {
	id        uint64
	raw       *raft.RawNode
	storage   *raft.MemoryStorage
	wal       *wal.WAL
	keep      bool // the whole log stays in memory
	proposals chan *proposal
	reads     chan chan error
	received  chan pb.Message
	peers     map[uint64]chan pb.Message
	down      chan uint64

	lead    atomic.Uint64
	applied atomic.Uint64 // commands

	state     *harness.State // nil: commands are counted, and nothing else
	snapshots *snap.Snapshotter
	wanted    chan chan error // who waits for a snapshot

	// The loop's own.
	leading   bool
	index     uint64 // applied
	last      uint64 // last index handed out by a Ready
	compacted uint64
	pending   []*proposal // in log order
	readers   reading
}

func (n *node) Leader() uint64 { return n.lead.Load() }
func (n *node) Applied() uint64 {
	if n.state != nil {
		return n.state.Applied()
	}
	return n.applied.Load()
}

func openLog(n *node, folder string) {
	// The first snapshot, at index 1, holds the three voters.
	voters := pb.ConfState{Voters: []uint64{1, 2, 3}}
	must(n.storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{ConfState: voters, Index: 1, Term: 1}}))
	first := walpb.Snapshot{Index: 1, Term: 1, ConfState: &voters}
	if n.state != nil {
		first = n.restore(folder, first)
	}
	var err error
	if !wal.Exist(folder) {
		n.wal, err = wal.Create(zap.NewNop(), folder, []byte("bench"))
		must(err)
		must(n.wal.SaveSnapshot(first))
		state := pb.HardState{Term: 1, Commit: 1}
		must(n.wal.Save(state, nil))
		must(n.storage.SetHardState(state))
		return
	}
	n.wal, err = wal.Open(zap.NewNop(), folder, first)
	must(err)
	_, state, entries, err := n.wal.ReadAll()
	must(err)
	must(n.storage.SetHardState(state))
	must(n.storage.Append(entries))
}

func start(options harness.Options) (harness.Node, error) {
	n := &node{
		id: options.ID, keep: options.Quick, storage: raft.NewMemoryStorage(),
		proposals: make(chan *proposal, queue), wanted: make(chan chan error), reads: make(chan chan error, queue),
		received: make(chan pb.Message, 4096), peers: map[uint64]chan pb.Message{}, down: make(chan uint64, 16),
	}
	if options.State {
		n.state = harness.NewState()
		folder := filepath.Join(options.Data, "snap")
		must(os.MkdirAll(folder, 0o755))
		n.snapshots = snap.New(zap.NewNop(), folder)
	}
	n.index = 1
	openLog(n, filepath.Join(options.Data, "wal"))
	config := &raft.Config{
		ID: options.ID, ElectionTick: 100, HeartbeatTick: 10, Storage: n.storage, Applied: n.index,
		MaxSizePerMsg: maxAppend, MaxCommittedSizePerReady: maxCommitted, MaxInflightMsgs: maxInflight,
		CheckQuorum: true, PreVote: true,
	}
	if options.Quick {
		config.HeartbeatTick, config.ElectionTick = 5, 15
	}
	var err error
	if n.raw, err = raft.NewRawNode(config); err != nil {
		return nil, err
	}
	n.last, _ = n.storage.LastIndex()
	n.compacted = n.index
	listener, err := net.Listen("tcp", options.Members[options.ID])
	if err != nil {
		return nil, err
	}
	go n.accept(listener)
	for id, address := range options.Members {
		if id != n.id {
			n.peers[id] = make(chan pb.Message, queue)
			go n.sender(id, address, n.peers[id])
		}
	}
	go n.loop()
	return n, nil
}

func main() {
	raft.SetLogger(&raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)})
	if len(os.Args) > 1 && os.Args[1] == "core" {
		harness.CoreMain(os.Args[2:], newCores)
	}
	harness.Main(start)
}
