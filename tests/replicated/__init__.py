"""The state machines that come with raftpy."""
