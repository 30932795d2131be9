"""Datagrams as they come and go: system calls, checksums, counters, addresses."""
