"""Rules about the source text itself: import directions, sizes, stubs."""
