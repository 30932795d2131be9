package main

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"harness"
)

// cores are three RawNodes in one process over MemoryStorage; what they say to one another passes as bytes.
type cores struct {
	nodes  [4]*core // by id
	buffer []byte
}

type core struct {
	raw       *raft.RawNode
	storage   *raft.MemoryStorage
	inbox     []pb.Message
	applied   uint64 // commands
	index     uint64
	compacted uint64
}

func newCores() harness.Core {
	c := &cores{}
	for id := uint64(1); id <= 3; id++ {
		storage := raft.NewMemoryStorage()
		voters := pb.ConfState{Voters: []uint64{1, 2, 3}}
		must(storage.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{ConfState: voters, Index: 1, Term: 1}}))
		must(storage.SetHardState(pb.HardState{Term: 1, Commit: 1}))
		raw, err := raft.NewRawNode(&raft.Config{
			ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: storage, Applied: 1,
			MaxSizePerMsg: maxAppend, MaxInflightMsgs: 512,
		})
		must(err)
		c.nodes[id] = &core{raw: raw, storage: storage, compacted: 1}
	}
	must(c.nodes[1].raw.Campaign())
	c.settle()
	if c.nodes[1].raw.BasicStatus().RaftState != raft.StateLeader {
		panic("core 1 does not lead")
	}
	return c
}

func (c *cores) Applied() [3]uint64 {
	return [3]uint64{c.nodes[1].applied, c.nodes[2].applied, c.nodes[3].applied}
}

func (c *cores) Propose(batch int) {
	entries := make([]pb.Entry, batch)
	payloads := make([]byte, batch*16)
	for i := range entries {
		entries[i].Data = payloads[i*16 : i*16+16 : i*16+16]
	}
	must(c.nodes[1].raw.Step(pb.Message{Type: pb.MsgProp, From: 1, Entries: entries}))
	c.settle()
}

func (c *cores) deliver(message pb.Message) {
	size := message.Size()
	if cap(c.buffer) < size {
		c.buffer = make([]byte, 2*size)
	}
	written, err := message.MarshalTo(c.buffer[:size])
	must(err)
	read := pb.Message{}
	must(read.Unmarshal(c.buffer[:written]))
	to := c.nodes[message.To]
	to.inbox = append(to.inbox, read)
}

// settle goes on until nobody has anything to do.
func (c *cores) settle() {
	for busy := true; busy; {
		busy = false
		for _, n := range c.nodes[1:] {
			for i, message := range n.inbox {
				must(n.raw.Step(message))
				n.inbox[i] = pb.Message{}
			}
			n.inbox = n.inbox[:0]
			for n.raw.HasReady() {
				busy = true
				c.ready(n)
			}
			if n.index > n.compacted+10_000 {
				must(n.storage.Compact(n.index - 1000))
				n.compacted = n.index - 1000
			}
		}
	}
}

func (c *cores) ready(n *core) {
	ready := n.raw.Ready()
	if !raft.IsEmptyHardState(ready.HardState) {
		must(n.storage.SetHardState(ready.HardState))
	}
	if len(ready.Entries) > 0 {
		must(n.storage.Append(ready.Entries))
	}
	for _, message := range ready.Messages {
		c.deliver(message)
	}
	for _, entry := range ready.CommittedEntries {
		if len(entry.Data) > 0 {
			n.applied++
		}
		n.index = entry.Index
	}
	n.raw.Advance(ready)
}
