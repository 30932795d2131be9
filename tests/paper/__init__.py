"""One test for each rule of Figure 2 and each claim of the Raft paper (extended version), by section."""
