"""What goes beyond etcd/raft, each switched on by an option."""
