"""How a gateway answers LIST and COUNT from all nodes."""
