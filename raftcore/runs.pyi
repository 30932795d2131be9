"""Numbers along the log, as runs: a C interface only (runs.pxd)."""
