"""The identity of a node, the owner of its data directory, and how blank nodes form a cluster."""
