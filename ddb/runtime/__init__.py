"""The process around ddb: clock, parent, scheduling, descriptors, files."""
