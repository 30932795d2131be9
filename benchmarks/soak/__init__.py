"""Hours of writes: what a cluster takes of disk and memory, and how long a write takes, from the first to the last."""
