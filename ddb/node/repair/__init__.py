"""How copies return to where they belong: handoff, rebuild, recovery of open rounds."""
