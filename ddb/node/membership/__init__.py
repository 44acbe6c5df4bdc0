"""Who a node is, whose data directory it opens, and how blank nodes form a cluster."""
