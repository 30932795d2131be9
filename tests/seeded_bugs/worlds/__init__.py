"""Seeded bugs in the driver and the store: mistakes that the simulator must find.

Each record in :mod:`tests.seeded_bugs.worlds.bugs` is one mistake that a good programmer could make in ``raftpy`` (or
in what the core leaves to it): a small exact replacement of text in one source file, and the rule that it breaks.
``python -m tests.seeded_bugs.worlds`` puts them in one at a time, in a copy of the tree, and runs simulated worlds,
seed after seed, until a check of the simulator fails. A bug that no world shows says that the simulator lacks a fault,
a check, or a mixture of the two.
"""
