"""Other implementations of Raft, wrapped so that benchmarks.compare can measure them; README.md says how."""
