"""raftpy beside its peers on the same works, in alternating rounds on one machine: ``python -m benchmarks.compare``."""
