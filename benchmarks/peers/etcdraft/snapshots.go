package main

import (
	"bytes"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// Snapshot has one taken, and returns once it is durable.
func (n *node) Snapshot() error {
	done := make(chan error, 1)
	n.wanted <- done
	return <-done
}

// save takes a snapshot as etcd's own example does (contrib/raftexample): the file first, then the record of it in the
// write-ahead log, then the log in memory begins there. Its view is taken in the loop, and written beside it.
func (n *node) save(done chan error) {
	view, index := n.state.View(), n.index
	go func() {
		var data bytes.Buffer
		if err := view.Write(&data); err != nil {
			done <- err
			return
		}
		voters := pb.ConfState{Voters: []uint64{1, 2, 3}}
		snapshot, err := n.storage.CreateSnapshot(index, &voters, data.Bytes())
		if err == nil {
			err = n.snapshots.SaveSnap(snapshot)
		}
		if err == nil {
			err = n.wal.SaveSnapshot(walpb.Snapshot{Index: index, Term: snapshot.Metadata.Term, ConfState: &voters})
		}
		done <- err
	}()
}

// restore reads the newest snapshot that the write-ahead log knows of; where to begin in that.
func (n *node) restore(folder string, first walpb.Snapshot) walpb.Snapshot {
	if !wal.Exist(folder) {
		return first
	}
	known, err := wal.ValidSnapshotEntries(zap.NewNop(), folder)
	must(err)
	snapshot, err := n.snapshots.LoadNewestAvailable(known)
	if err != nil {
		return first // none was taken
	}
	must(n.state.Read(bytes.NewReader(snapshot.Data)))
	must(n.storage.ApplySnapshot(*snapshot))
	n.index = snapshot.Metadata.Index
	return walpb.Snapshot{Index: n.index, Term: snapshot.Metadata.Term, ConfState: &snapshot.Metadata.ConfState}
}
