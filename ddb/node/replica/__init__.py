"""One node's copies of records, and the rules by which it accepts them."""
