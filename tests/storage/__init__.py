"""The stores: one contract for all of them, and the faults that a disk can have."""
