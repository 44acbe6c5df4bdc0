"""The common case of a read and of a write, by callbacks; the rest goes to the coordinator."""
