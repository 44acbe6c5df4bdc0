"""ddb: a leaderless, replicated record store with a plain HTTP interface."""

__version__ = "0.1.0"
