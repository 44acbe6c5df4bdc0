"""LIST and COUNT, which a gateway computes from all nodes."""
