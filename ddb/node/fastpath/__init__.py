"""The common case of a read and of a change, by callbacks; the coordinator does the others."""
