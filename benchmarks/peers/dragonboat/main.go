// dragonboat is one node of lni/dragonboat v4 with its tan log, told what to do by harness.
//
//	dragonboat --id 1 --cluster 1=127.0.0.1:1,... --data DIR
//
// Proposals use a no-op session and wait on the result channel, the cheapest of its calls; tan is the log its documents
// recommend for speed.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	sm "github.com/lni/dragonboat/v4/statemachine"

	"harness"
)

const (
	shard   = 1
	timeout = 10 * time.Second
)

var applied atomic.Uint64 // commands

// counter is the state machine: it counts commands.
type counter struct{ count uint64 }

func (c *counter) Update(sm.Entry) (sm.Result, error) {
	c.count++
	applied.Store(c.count)
	return sm.Result{Value: c.count}, nil
}
func (c *counter) Lookup(any) (any, error) { return applied.Load(), nil }
func (c *counter) SaveSnapshot(w io.Writer, _ sm.ISnapshotFileCollection, _ <-chan struct{}) error {
	return binary.Write(w, binary.LittleEndian, c.count)
}
func (c *counter) RecoverFromSnapshot(r io.Reader, _ []sm.SnapshotFile, _ <-chan struct{}) error {
	return binary.Read(r, binary.LittleEndian, &c.count)
}
func (c *counter) Close() error { return nil }

type node struct {
	host    *dragonboat.NodeHost
	session *client.Session
}

func (n *node) Leader() uint64 {
	leader, _, known, err := n.host.GetLeaderID(shard)
	if err != nil || !known {
		return 0
	}
	return leader
}

func (n *node) Applied() uint64 { return applied.Load() }

// wait says whether to ask again in a moment: its back pressure, or a leader that is new.
func wait(err error) bool {
	return errors.Is(err, dragonboat.ErrSystemBusy) || errors.Is(err, dragonboat.ErrShardNotReady)
}

func (n *node) Propose(command []byte) error {
	for {
		state, err := n.host.Propose(n.session, command, timeout)
		if wait(err) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return err
		}
		result := <-state.ResultC()
		state.Release()
		if !result.Completed() {
			return fmt.Errorf("not completed: timeout %v, dropped %v, rejected %v, terminated %v",
				result.Timeout(), result.Dropped(), result.Rejected(), result.Terminated())
		}
		return nil
	}
}

func (n *node) Read() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		_, err := n.host.SyncRead(ctx, shard, nil)
		if !wait(err) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func start(options harness.Options) (harness.Node, error) {
	for _, name := range []string{"raft", "rsm", "transport", "grpc", "logdb", "dragonboat", "raftpb", "tan", "settings",
		"order", "config", "utils", "registry", "snapshotter"} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	// Times are counted in round trips of this many milliseconds.
	roundTrip, heartbeat, election := uint64(50), uint64(2), uint64(20)
	if options.Quick {
		roundTrip, heartbeat, election = 10, 5, 15
	}
	host := config.NodeHostConfig{
		WALDir: options.Data, NodeHostDir: options.Data, RTTMillisecond: roundTrip,
		RaftAddress: options.Members[options.ID],
	}
	host.Expert.LogDBFactory = tan.Factory
	opened, err := dragonboat.NewNodeHost(host)
	if err != nil {
		return nil, err
	}
	replica := config.Config{
		ReplicaID: options.ID, ShardID: shard, ElectionRTT: election, HeartbeatRTT: heartbeat, CheckQuorum: true,
	}
	members := map[uint64]dragonboat.Target{}
	for id, address := range options.Members {
		members[id] = address
	}
	make := func(_, _ uint64) sm.IStateMachine { return &counter{} }
	if err := opened.StartReplica(members, false, make, replica); err != nil {
		return nil, err
	}
	return &node{opened, opened.GetNoOPSession(shard)}, nil
}

func main() { harness.Main(start) }
