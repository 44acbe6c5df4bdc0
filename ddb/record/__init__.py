"""The record model, pure: no I/O, no clock and no randomness of its own."""
