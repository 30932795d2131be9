package main

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"
)

// reading holds reads that wait for a read index (thesis 6.4). As in etcd, one question is under way at a time, and all
// that came in meanwhile share the next.
type reading struct {
	number  uint64
	waiting []chan error // not asked yet
	asked   []chan error // the question is under way
	settled []confirmed  // waiting for the state machine
}

type confirmed struct {
	index   uint64
	readers []chan error
}

func (n *node) Read() error {
	done := make(chan error, 1)
	n.reads <- done
	return <-done
}

func (r *reading) ask(n *node) {
	if len(r.waiting) == 0 || len(r.asked) > 0 {
		return
	}
	if !n.leading {
		r.fail(errNotLeader)
		return
	}
	r.asked, r.waiting = r.waiting, nil
	r.number++
	n.raw.ReadIndex(binary.LittleEndian.AppendUint64(nil, r.number))
}

func (r *reading) confirmed(states []raft.ReadState) {
	for _, state := range states {
		if binary.LittleEndian.Uint64(state.RequestCtx) == r.number && len(r.asked) > 0 {
			r.settled = append(r.settled, confirmed{state.Index, r.asked})
			r.asked = nil
		}
	}
}

func (r *reading) release(applied uint64) {
	for len(r.settled) > 0 && r.settled[0].index <= applied {
		for _, reader := range r.settled[0].readers {
			reader <- nil
		}
		r.settled = r.settled[1:]
	}
}

func (r *reading) fail(err error) {
	for _, reader := range append(r.waiting, r.asked...) {
		reader <- err
	}
	r.waiting, r.asked = nil, nil
}
