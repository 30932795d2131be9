"""Looking at a node's state: copies, comparisons, invariants."""
