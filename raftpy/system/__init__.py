"""What the machine gives: files, LevelDB, and what a fork does. Nothing else in raftpy asks the system for these."""
