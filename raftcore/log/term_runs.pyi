"""Numbers along the log, as runs: a C interface only (term_runs.pxd)."""
