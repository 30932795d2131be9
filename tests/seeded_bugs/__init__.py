"""Seeded bugs: known mistakes put into the core on purpose, to see that the tests find each of them.

A test suite that has never seen a bug proves little. Each record in :mod:`tests.seeded_bugs.bugs` is one mistake that
somebody has made, or could make, in an implementation of Raft: a small exact replacement of text in one source file,
and the sentence of the paper that it breaks. ``python -m tests.seeded_bugs`` builds the core with one of them at a
time, in a copy of the tree, and runs the finders on it until one complains. A bug that nobody complains about survives,
and says that a test is missing.
"""
