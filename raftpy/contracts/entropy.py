"""Where what is drawn at random comes from: store ids, boots, and the seeds of all other draws."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """The only source of randomness in raftpy: the system's, or a seeded one in tests and the simulator."""

    def bytes(self, count: int) -> bytes:
        """That many bytes, each as likely as any other, and independent of all drawn before."""
        ...

    def u64(self) -> int:
        """0 to 2**64 - 1, likewise."""
        ...
