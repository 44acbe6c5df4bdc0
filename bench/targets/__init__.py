"""The systems that are measured, each started, loaded, asked and stopped in its own way."""
