"""The benchmark: ddb beside its peers and beside its limit, in one run, with one load generator."""
