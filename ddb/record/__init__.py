"""The record model: pure, without I/O, clock or randomness."""
