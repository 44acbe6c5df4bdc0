"""Placement: the nodes of each key."""
