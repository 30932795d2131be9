"""State machines to replicate: each is a plain object with ``apply``, and knows nothing of Raft."""
