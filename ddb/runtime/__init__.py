"""The process around ddb: clock, parent, scheduling, descriptors, files. Imports nothing of ddb."""
