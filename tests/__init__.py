"""The tests of raftcore and raftpy; docs/testing.md says what each kind can find."""
