"""The pure domain: decides everything, touches nothing (no I/O, clock, randomness or logging)."""
