"""How a node decides an operation on a record with one other node of its cell."""
