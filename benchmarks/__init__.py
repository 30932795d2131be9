"""What raftpy costs, measured on the machine at hand; docs/benchmarks.md says how to read the figures."""
