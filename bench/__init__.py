"""The benchmark: ddb, its peers and its limit, in one run, with one load generator."""
