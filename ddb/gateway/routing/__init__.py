"""How a gateway reaches two nodes that decide a record."""
