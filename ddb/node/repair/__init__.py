"""How copies return to their homes: handoff, refill and rebuild."""
