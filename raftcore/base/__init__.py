"""What everything else stands on: errors, the types of Raft and their one table, settings, bytes."""
