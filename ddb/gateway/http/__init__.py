"""HTTP connections: the bounds of both lanes, and the middleware of the complete lane."""
