"""What the parts promise one another: storage, transport, clock, state machine, and all errors."""
