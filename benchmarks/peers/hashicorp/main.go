// hashicorp is one node of hashicorp/raft with raft-wal, told what to do by harness.
//
//	hashicorp --id 1 --cluster 1=127.0.0.1:1,... --data DIR
//
// Tuned as its documents advise for many concurrent commands: a buffered apply channel (BatchApplyCh), appends of up to
// 1,024 entries, a log cache in front of the store, a state machine that takes batches.
package main

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"

	"harness"
)

const (
	maxAppend = 1024
	logCache  = 8192
)

// counter is the state machine: it counts commands.
type counter struct{ applied atomic.Uint64 }

func (c *counter) Apply(*raft.Log) any { return c.applied.Add(1) }

func (c *counter) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	for i, entry := range logs {
		if entry.Type == raft.LogCommand {
			results[i] = c.applied.Add(1)
		}
	}
	return results
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots here") }
func (c *counter) Restore(io.ReadCloser) error         { return errors.New("no snapshots here") }

// store is the state machine with a state: a key-value store.
type store struct{ state *harness.State }

func (s *store) Apply(entry *raft.Log) any {
	s.state.Apply(entry.Data)
	return nil
}

func (s *store) ApplyBatch(logs []*raft.Log) []any {
	for _, entry := range logs {
		if entry.Type == raft.LogCommand {
			s.state.Apply(entry.Data)
		}
	}
	return make([]any, len(logs))
}

func (s *store) Snapshot() (raft.FSMSnapshot, error) { return view{s.state.View()}, nil }

func (s *store) Restore(from io.ReadCloser) error {
	defer from.Close()
	return s.state.Read(from)
}

// view is a state as it was when a snapshot was asked for.
type view struct{ state *harness.State }

func (v view) Persist(sink raft.SnapshotSink) error {
	if err := v.state.Write(sink); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (v view) Release() {}

type node struct {
	raft    *raft.Raft
	applied func() uint64
}

func (n *node) Leader() uint64 {
	_, id := n.raft.LeaderWithID()
	number, _ := strconv.ParseUint(string(id), 10, 64)
	return number
}

func (n *node) Applied() uint64              { return n.applied() }
func (n *node) Propose(command []byte) error { return n.raft.Apply(command, 0).Error() }

// Snapshot has one taken now, whatever the settings say.
func (n *node) Snapshot() error { return n.raft.Snapshot().Error() }

// Read asks a quorum whether this node still leads: what hashicorp/raft offers for consistent reads.
func (n *node) Read() error { return n.raft.VerifyLeader().Error() }

func config(options harness.Options) *raft.Config {
	c := raft.DefaultConfig() // heartbeat and election timeout of a second
	c.LocalID = raft.ServerID(strconv.FormatUint(options.ID, 10))
	c.Logger = hclog.NewNullLogger()
	c.MaxAppendEntries = maxAppend
	c.BatchApplyCh = true
	c.SnapshotInterval = time.Hour
	c.SnapshotThreshold = 1 << 60
	if options.Quick { // heartbeats go out at a tenth of the timeout, or more rarely
		c.HeartbeatTimeout = 150 * time.Millisecond
		c.ElectionTimeout = 150 * time.Millisecond
		c.LeaderLeaseTimeout = 100 * time.Millisecond
	}
	return c
}

func start(options harness.Options) (harness.Node, error) {
	c := config(options)
	wal, err := raftwal.Open(options.Data)
	if err != nil {
		return nil, err
	}
	var snapshots raft.SnapshotStore = raft.NewInmemSnapshotStore()
	counted := &counter{}
	var machine raft.FSM = counted
	applied := counted.applied.Load
	if options.State {
		kept := &store{harness.NewState()}
		machine, applied = kept, kept.state.Applied
		if snapshots, err = raft.NewFileSnapshotStoreWithLogger(options.Data, 2, c.Logger); err != nil {
			return nil, err
		}
	}
	old, err := raft.HasExistingState(wal, wal, snapshots)
	if err != nil {
		return nil, err
	}
	logs, err := raft.NewLogCache(logCache, wal)
	if err != nil {
		return nil, err
	}
	transport, err := raft.NewTCPTransportWithConfig(options.Members[options.ID], nil, &raft.NetworkTransportConfig{
		MaxPool: 3, Timeout: 10 * time.Second, Logger: c.Logger})
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if !old {
		var members raft.Configuration
		for id, address := range options.Members {
			members.Servers = append(members.Servers, raft.Server{
				ID: raft.ServerID(strconv.FormatUint(id, 10)), Address: raft.ServerAddress(address)})
		}
		sort.Slice(members.Servers, func(i, j int) bool { return members.Servers[i].ID < members.Servers[j].ID })
		if err := raft.BootstrapCluster(c, logs, wal, snapshots, transport, members); err != nil {
			return nil, err
		}
	}
	r, err := raft.NewRaft(c, machine, logs, wal, snapshots, transport)
	if err != nil {
		return nil, err
	}
	return &node{r, applied}, nil
}

func main() { harness.Main(start) }
