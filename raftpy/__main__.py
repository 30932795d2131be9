"""``python -m raftpy``: the command line."""

from raftpy.cli import main

main()
