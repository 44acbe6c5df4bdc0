"""The benchmark of ddb, its peers and its limit."""
