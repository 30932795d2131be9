package main

import (
	"errors"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

const (
	drained      = 256     // received messages stepped before a Ready is taken
	compactEvery = 100_000 // entries; the last 20,000 stay in memory
	compactKeep  = 20_000
)

var errNotLeader = errors.New("not the leader")

var pool = sync.Pool{New: func() any { return &proposal{done: make(chan error, 1), entries: make([]pb.Entry, 0, 1)} }}

func (n *node) Propose(command []byte) error {
	p := pool.Get().(*proposal)
	p.entries = append(p.entries[:0], pb.Entry{Data: command})
	n.proposals <- p
	err := <-p.done
	pool.Put(p)
	return err
}

func (n *node) ProposeMany(commands [][]byte) error {
	p := &proposal{done: make(chan error, 1), entries: make([]pb.Entry, len(commands))}
	for i, command := range commands {
		p.entries[i].Data = command
	}
	n.proposals <- p
	return <-p.done
}

// loop owns the RawNode.
func (n *node) loop() {
	ticker := time.NewTicker(tick)
	entries := make([]pb.Entry, 0, queue)
	var proposals []*proposal
	take := func(p *proposal) {
		proposals = append(proposals, p)
		entries = append(entries, p.entries...)
	}
	for {
		select {
		case message := <-n.received:
			_ = n.raw.Step(message) // what raft refuses is as good as lost
		case p := <-n.proposals:
			take(p)
		case reader := <-n.reads:
			n.readers.waiting = append(n.readers.waiting, reader)
		case <-ticker.C:
			n.raw.Tick()
		case done := <-n.wanted:
			n.save(done)
		case id := <-n.down:
			n.raw.ReportUnreachable(id)
		}
		n.drain(&entries, take)
		if len(entries) > 0 {
			n.append(entries, proposals)
			clear(proposals)
			proposals = proposals[:0]
			clear(entries) // raft has copied the values into its log
			entries = entries[:0]
		}
		n.readers.ask(n)
		for n.raw.HasReady() {
			n.ready()
		}
	}
}

// drain takes what waits beside the one that woke the loop.
func (n *node) drain(entries *[]pb.Entry, take func(*proposal)) {
	for i := 0; i < drained && len(n.received) > 0; i++ {
		_ = n.raw.Step(<-n.received)
	}
	for len(*entries) < queue && len(n.proposals) > 0 {
		take(<-n.proposals)
	}
	for len(n.reads) > 0 {
		n.readers.waiting = append(n.readers.waiting, <-n.reads)
	}
}

func (n *node) append(entries []pb.Entry, proposals []*proposal) {
	err := errNotLeader
	if n.leading {
		err = n.raw.Step(pb.Message{Type: pb.MsgProp, From: n.id, Entries: entries})
	}
	at := n.last // every Ready is drained, so this is the log's last index
	for _, p := range proposals {
		if err != nil {
			p.done <- err
			continue
		}
		at += uint64(len(p.entries))
		p.last = at
		n.pending = append(n.pending, p)
	}
}

func (n *node) ready() {
	ready := n.raw.Ready()
	if count := len(ready.Entries); count > 0 {
		n.last = ready.Entries[count-1].Index
	}
	if ready.SoftState != nil {
		n.roles(ready.SoftState)
	}
	if n.leading {
		n.send(ready.Messages) // while it writes itself
	}
	must(n.wal.Save(ready.HardState, ready.Entries))
	if len(ready.Entries) > 0 {
		must(n.storage.Append(ready.Entries))
	}
	if !n.leading {
		n.send(ready.Messages)
	}
	n.readers.confirmed(ready.ReadStates)
	n.apply(ready.CommittedEntries)
	n.readers.release(n.index)
	n.raw.Advance(ready)
}

func (n *node) roles(state *raft.SoftState) {
	leading := state.RaftState == raft.StateLeader
	if n.leading && !leading {
		for _, p := range n.pending {
			p.done <- errors.New("lost leadership")
		}
		n.pending = n.pending[:0]
		n.readers.fail(errNotLeader)
	}
	n.leading = leading
	n.lead.Store(state.Lead)
}

func (n *node) apply(entries []pb.Entry) {
	if len(entries) == 0 {
		return
	}
	var commands uint64
	for _, entry := range entries {
		if entry.Type == pb.EntryNormal && len(entry.Data) > 0 {
			commands++
			if n.state != nil {
				n.state.Apply(entry.Data)
			}
		}
	}
	n.applied.Add(commands)
	n.index = entries[len(entries)-1].Index
	settled := 0
	for settled < len(n.pending) && n.pending[settled].last <= n.index {
		n.pending[settled].done <- nil
		settled++
	}
	if settled > 0 {
		left := copy(n.pending, n.pending[settled:])
		clear(n.pending[left:])
		n.pending = n.pending[:left]
	}
	if !n.keep && n.index > n.compacted+compactEvery {
		n.compact()
	}
}

// compact keeps the log in memory bounded; what a follower still needs stays.
func (n *node) compact() {
	to := n.index
	if n.leading {
		n.raw.WithProgress(func(_ uint64, _ raft.ProgressType, p tracker.Progress) { to = min(to, p.Match) })
	}
	to -= min(to, compactKeep)
	if to > n.compacted+1 && n.storage.Compact(to) == nil {
		n.compacted = to
	}
}
