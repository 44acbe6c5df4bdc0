"""HTTP connections of both lanes: their bounds, and the middleware of the complete one."""
