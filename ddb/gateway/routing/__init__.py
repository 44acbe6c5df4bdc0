"""Requests on single records: admission, choice of a node, retries."""
